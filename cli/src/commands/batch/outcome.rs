//! What became of the jobs.

use std::{fmt::Write, path::PathBuf};

use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::{Failure, Kind};

pub enum State {
    Done,
    /// Was there already.
    Skipped,
    /// Could be done.
    Planned,
    Failed(Failure),
    /// Not done, because the whole was stopped.
    Left,
}

/// Of one job.
pub struct Outcome {
    pub line: usize,
    pub clip: PathBuf,
    pub state: State,
    pub seed: Option<u64>,
    pub seconds: f64,
}

/// Of all jobs.
#[derive(Serialize)]
pub struct Summary {
    jobs: Vec<Outcome>,
    done: usize,
    skipped: usize,
    planned: usize,
    failed: usize,
    left: usize,
    /// How often a transformer was loaded.
    loads: usize,
    seconds: f64,
    peak_memory_bytes: Option<u64>,
}

impl State {
    fn name(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Skipped => "skipped",
            Self::Planned => "planned",
            Self::Failed(_) => "failed",
            Self::Left => "left",
        }
    }

    fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) => Some(failure),
            _ => None,
        }
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("line", &self.line)?;
        map.serialize_entry("output", &self.clip.to_string_lossy())?;
        map.serialize_entry("state", self.state.name())?;
        map.serialize_entry("seed", &self.seed)?;
        map.serialize_entry("seconds", &self.seconds)?;
        map.serialize_entry("error", &self.state.failure().map(|failure| &failure.message))?;
        map.serialize_entry("hint", &self.state.failure().and_then(|failure| failure.hint.as_ref()))?;
        map.end()
    }
}

impl Summary {
    pub fn new(jobs: Vec<Outcome>, loads: usize, seconds: f64) -> Self {
        let count = |name| jobs.iter().filter(|job| job.state.name() == name).count();
        Self {
            done: count("done"),
            skipped: count("skipped"),
            planned: count("planned"),
            failed: count("failed"),
            left: count("left"),
            jobs,
            loads,
            seconds,
            peak_memory_bytes: crate::memory::peak_bytes(),
        }
    }

    /// Paths of the clips that were made, or would be.
    pub fn made(&self) -> impl Iterator<Item = &str> {
        let made = self.jobs.iter().filter(|job| matches!(job.state, State::Done | State::Planned));
        made.filter_map(|job| job.clip.to_str())
    }

    /// One line for each job, and the sums.
    pub fn table(&self) -> String {
        let clip = |job: &Outcome| job.clip.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let width = self.jobs.iter().map(|job| clip(job).chars().count()).max().unwrap_or(0).max(4);
        let mut text = format!("line  {:width$}  state    seconds\n", "clip");
        for job in &self.jobs {
            let seconds =
                if matches!(job.state, State::Done) { format!("{:.1}", job.seconds) } else { String::new() };
            let why = job.state.failure().map(|failure| failure.message.as_str()).unwrap_or_default();
            let row =
                format!("{:4}  {:width$}  {:7}  {seconds:>7}  {why}", job.line, clip(job), job.state.name());
            let _ = writeln!(text, "{}", row.trim_end());
        }
        let sums = [
            (self.done, "done"),
            (self.planned, "to do"),
            (self.skipped, "there already"),
            (self.failed, "failed"),
            (self.left, "left"),
        ];
        let sums: Vec<_> = sums
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        let _ =
            write!(text, "{} in {:.1} s; transformers loaded: {}", sums.join(", "), self.seconds, self.loads);
        text
    }

    /// The exit of the command.
    pub fn verdict(&self) -> Result<(), Failure> {
        let again = Some("the same command again makes what is missing".to_owned());
        if self.left > 0 {
            return Err(Failure { kind: Kind::Interrupted, message: "interrupted".to_owned(), hint: again });
        }
        if self.failed > 0 {
            let message = format!("{} of {} jobs failed", self.failed, self.jobs.len());
            return Err(Failure { kind: Kind::Failed, message, hint: again });
        }
        Ok(())
    }
}
