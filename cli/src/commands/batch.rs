//! `wan batch`: many clips, one after the other, with models loaded once.

mod jobs;
mod outcome;

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Instant,
};

use super::{
    generate::{Job, drive},
    print, print_json, pull,
};
use crate::{
    CancelToken, Failure, Kind,
    args::BatchArgs,
    devices::Devices,
    engine::{Event, Request, Session, Trust},
    interrupt,
    media::Output,
    metadata::Metadata,
    progress::Progress,
    settings::Settings,
};
use jobs::Line;
use outcome::{Outcome, State, Summary};

/// So many jobs ahead have their prompts encoded with the first one's.
const AHEAD: usize = 32;

/// Makes the clips of a file and says what became of each.
pub fn run(args: &BatchArgs, quiet: bool, leave: fn()) -> Result<(), Failure> {
    let start = Instant::now();
    let mut lines = jobs::read(&args.jobs, &args.settings)?;
    lines.retain(|line| args.shard.is_none_or(|shard| shard.takes(line.index)));
    if !args.dry_run {
        let folder = args.output.display();
        let failed =
            |e| Failure::usage(format!("{folder} cannot be made: {e}"), "choose another folder with -o");
        fs::create_dir_all(&args.output).map_err(failed)?;
    }
    let cancel = CancelToken::default();
    interrupt::install(&cancel, leave)?;
    let session = Session::new(args.lean);
    let mut batch = Batch { args, quiet, cancel, session, loads: 0 };
    let outcomes = batch.run(lines);
    let summary = Summary::new(outcomes, batch.loads, start.elapsed().as_secs_f64());
    if !quiet {
        Progress::new(quiet).line(&summary.table());
    }
    if args.json {
        print_json(&summary)?
    } else {
        summary.made().try_for_each(print)?
    }
    summary.verdict()
}

struct Batch<'a> {
    args: &'a BatchArgs,
    quiet: bool,
    cancel: CancelToken,
    session: Session,
    /// How often a transformer was loaded.
    loads: usize,
}

/// A job of the file: to be done, or done with.
struct Entry {
    line: usize,
    /// Empty if the line does not even say which.
    clip: PathBuf,
    work: Result<Job, State>,
}

impl Batch<'_> {
    fn run(&mut self, lines: Vec<Line>) -> Vec<Outcome> {
        let mut devices = Devices::default();
        let mut entries: Vec<_> = lines.into_iter().map(|line| self.entry(line, &mut devices)).collect();
        self.fetch(&mut entries);
        let count = entries.len();
        let mut outcomes = Vec::with_capacity(count);
        for index in 0..count {
            let (done, later) = entries.split_at_mut(index + 1);
            let Entry { line, clip, work } = &mut done[index];
            let work = std::mem::replace(work, Err(State::Skipped));
            let ahead = later.iter().filter_map(|entry| entry.work.as_ref().ok());
            let ahead: Vec<_> = ahead.map(|job| &job.request).take(AHEAD).collect();
            let start = Instant::now();
            let seed = work.as_ref().ok().and_then(|job| job.request.settings.seed);
            let state = work.map_or_else(
                |state| state,
                |job| {
                    self.say(&format!("[{}/{count}] {}", index + 1, clip.display()));
                    self.work(&job, &ahead)
                },
            );
            if let State::Failed(failure) = &state {
                let message = format!("line {line}: {}", failure.message);
                let _ = write!(io::stderr(), "{}", Failure { message, ..failure.clone() });
            }
            let seconds = start.elapsed().as_secs_f64();
            outcomes.push(Outcome { line: *line, clip: std::mem::take(clip), state, seed, seconds });
        }
        outcomes
    }

    /// Models of the hub become folders, before jobs are compared by their models.
    fn fetch(&self, entries: &mut [Entry]) {
        for entry in entries {
            let Ok(Job { request, .. }) = &mut entry.work else { continue };
            let Some(model) = request.settings.model.take() else { continue };
            match pull::local(model, &mut Progress::new(self.quiet), &self.cancel) {
                Ok(model) => request.settings.model = Some(model),
                Err(failure) if failure.kind == Kind::Interrupted => entry.work = Err(State::Left),
                Err(failure) => entry.work = Err(State::Failed(failure)),
            }
        }
    }

    fn say(&self, text: &str) {
        Progress::new(self.quiet).line(text);
    }

    /// Everything that can be known of a job without its model.
    fn entry(&self, line: Line, devices: &mut Devices) -> Entry {
        let number = line.number;
        match line.job {
            Err(failure) => Entry { line: number, clip: PathBuf::new(), work: Err(State::Failed(failure)) },
            Ok(job) => {
                let clip = self.args.output.join(&job.output);
                let work = self.prepare(job.settings, &clip, devices);
                Entry { line: number, clip, work: work.unwrap_or_else(|failure| Err(State::Failed(failure))) }
            }
        }
    }

    /// The job, or that there is nothing to do.
    fn prepare(
        &self,
        given: Settings,
        clip: &Path,
        devices: &mut Devices,
    ) -> Result<Result<Job, State>, Failure> {
        let output = Output::parse(clip)?;
        if output.is_taken() && is_made(&output, &given) {
            return Ok(Err(State::Skipped));
        }
        if output.is_taken() && !self.args.overwrite {
            let hint = "give the job another name, or pass --overwrite";
            return Err(Failure::usage(format!("{} is there with other settings", clip.display()), hint));
        }
        let job = Job::new(given, &|_| Ok(output.clone()), devices)?;
        let job = Job { overwrite: self.args.overwrite, ..job };
        Ok(Ok(job.previewed(&self.args.preview).kept_as(Trust::default())))
    }

    fn work(&mut self, job: &Job, ahead: &[&Request]) -> State {
        if self.cancel.is_cancelled() {
            return State::Left;
        }
        let result = match self.args.dry_run {
            true => self.session.check(&job.request).map(|()| State::Planned).map_err(Failure::from),
            false => self.make(job, ahead).map(|()| State::Done),
        };
        result.unwrap_or_else(|failure| match failure.kind {
            Kind::Interrupted if self.cancel.is_cancelled() => State::Left,
            _ => State::Failed(failure),
        })
    }

    fn make(&mut self, job: &Job, ahead: &[&Request]) -> Result<(), Failure> {
        job.output.make_folder()?;
        job.output.check(job.request.settings.frames, job.overwrite)?;
        // A part of its own: a clip that cannot be written stops by it, and the others go on.
        let cancel = self.cancel.child();
        let Self { session, loads, .. } = self;
        drive(job, Progress::new(self.quiet), &cancel, &mut |request, cancel, events| {
            session.run(request, ahead, cancel, &mut |event| {
                *loads += usize::from(matches!(event, Event::Loaded { .. }));
                events(event);
            })
        })
        .map(drop)
    }
}

/// Whether a clip with these settings is there as a whole. Files get their names when they are complete, but numbered
/// pictures one after the other.
fn is_made(output: &Output, given: &Settings) -> bool {
    Metadata::of(&output.path()).is_ok_and(|found| {
        let whole = output.pictures().is_none_or(|count| Some(count) == found.settings.frames);
        found.given == *given && whole
    })
}
