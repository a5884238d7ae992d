//! Decides when the state of a run is written, and writes it.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    path::PathBuf,
    time::{Instant, SystemTime},
};

use burn::tensor::TensorData;
use wan_pipeline::{Event, FrameChunk, Pause, Snapshot, State};

use super::{
    Header, Limits, Run, RunError,
    decoding::{self, Decoded, Decoding},
    prune, state,
};

/// Work that may be lost where nobody said how much.
pub const AUTO_SECONDS: f64 = 5.0;
/// Part of the time that may go into writing states then.
pub const SHARE: f64 = 0.05;

/// How often a run's state is written, apart from before decoding and when it ends too early.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SaveEvery {
    /// Not at all, then neither.
    Never,
    /// After the first step that ends more than five seconds after the last time, or twenty times as long after it as that
    /// took.
    #[default]
    Auto,
    /// After every so many steps, and latent frames.
    Steps(NonZeroUsize),
}

/// A state that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    pub path: PathBuf,
    pub step: usize,
    pub steps: usize,
    /// Whether more is kept than what was asked for.
    pub encoded: bool,
}

impl Saved {
    pub fn new(path: PathBuf, header: &Header) -> Self {
        let &Header { step, steps, encoded, .. } = header;
        Self { path, step, steps, encoded }
    }
}

/// What became of a moment at which a run could be kept.
#[derive(Debug)]
pub enum Kept {
    State(Saved),
    /// Decoded frames are kept no more: a run goes on from before decoding without them.
    NoFrames(RunError),
}

/// Keeps one run.
pub struct Keeper {
    every: SaveEvery,
    /// Of the state that comes next.
    header: Header,
    started: SystemTime,
    run: Option<Run>,
    /// The step of the state that is there.
    saved: Option<usize>,
    since: Instant,
    /// Seconds that the last save took.
    cost: f64,
    decoding: Option<Decoding>,
    decoded: Option<Decoded>,
    /// Whether decoded frames are kept; not once that failed.
    keeps_frames: bool,
}

impl Keeper {
    /// Of a run that begins.
    pub fn new(every: SaveEvery, header: Header) -> Self {
        Self {
            every,
            header,
            started: SystemTime::now(),
            run: None,
            saved: None,
            since: Instant::now(),
            cost: 0.0,
            decoding: None,
            decoded: None,
            keeps_frames: true,
        }
    }

    /// Of a run that goes on, in the folder where its state is, if that is `run`.
    pub fn resumed(every: SaveEvery, header: Header, run: Option<Run>, decoded: Option<Decoded>) -> Self {
        let saved = run.as_ref().filter(|_| header.encoded).map(|_| header.step);
        Self { run, saved, decoded, ..Self::new(every, header) }
    }

    /// Writes what is known before any work: enough to begin again.
    ///
    /// # Errors
    /// [`RunError`] if it cannot be written.
    pub fn begin(&mut self) -> Result<Saved, RunError> {
        self.write(&Snapshot { step: 0, tensors: BTreeMap::new() })
    }

    /// Writes what is due. `extra` names tensors for the state of a step beside those of the run.
    ///
    /// # Errors
    /// [`RunError`] if the state of a step cannot be written; the one before stays.
    pub fn take(
        &mut self,
        event: &Event<'_>,
        extra: &dyn Fn() -> Vec<(String, TensorData)>,
    ) -> Result<Option<Kept>, RunError> {
        let frames = match event {
            Event::Pause { pause: Pause::Denoise(run), last } if self.is_due(run.step(), *last) => {
                return Ok(Some(Kept::State(self.save(run, extra())?)));
            }
            Event::Pause { pause: Pause::Decode(stream), last } => match &mut self.decoding {
                Some(decoding) => decoding.pause(stream, *last),
                None => Ok(()),
            },
            Event::Frames(chunk) => self.push(chunk),
            _ => Ok(()),
        };
        Ok(frames.err().map(|error| self.give_up_frames(error)))
    }

    fn is_due(&self, step: usize, last: bool) -> bool {
        let due = match self.every {
            SaveEvery::Never => return false,
            SaveEvery::Auto => self.since.elapsed().as_secs_f64() > AUTO_SECONDS.max(self.cost / SHARE),
            SaveEvery::Steps(steps) => step.is_multiple_of(steps.get()),
        };
        self.saved != Some(step) && (due || last)
    }

    fn save(&mut self, state: &State, extra: Vec<(String, TensorData)>) -> Result<Saved, RunError> {
        let start = Instant::now();
        let mut snapshot = state.snapshot();
        snapshot.tensors.extend(extra);
        (self.header.step, self.header.encoded) = (snapshot.step, true);
        let saved = self.write(&snapshot)?;
        self.saved = Some(snapshot.step);
        (self.since, self.cost) = (Instant::now(), start.elapsed().as_secs_f64());
        Ok(saved)
    }

    fn write(&mut self, snapshot: &Snapshot) -> Result<Saved, RunError> {
        let run = match self.run.take() {
            Some(run) => run,
            None => {
                prune(Limits::default())?;
                Run::create(self.started)?
            }
        };
        let path = self.run.insert(run).state();
        self.header.saved = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        state::write(&path, self.header.clone(), snapshot)?;
        Ok(Saved::new(path, &self.header))
    }

    fn push(&mut self, chunk: &FrameChunk) -> Result<(), RunError> {
        let Some(run) = self.run.as_ref().filter(|_| self.keeps_frames) else { return Ok(()) };
        let decoding = match self.decoding.take() {
            Some(decoding) => decoding,
            None => {
                let floats = self.header.dump.is_some();
                Decoding::new(run.folder(), self.every, floats, self.decoded.as_ref())?
            }
        };
        self.decoding.insert(decoding).push(chunk)
    }

    fn give_up_frames(&mut self, error: RunError) -> Kept {
        self.keeps_frames = false;
        self.decoding = None;
        if let Some(run) = &self.run {
            decoding::remove(run.folder());
        }
        Kept::NoFrames(error)
    }
}
