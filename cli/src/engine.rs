//! The engine as the command sees it; the only file that reaches the libraries below.

pub mod camera;
pub mod convert;
pub(crate) mod dump;
pub mod hub;
mod inspect;
mod keep;
pub mod kernels;
mod model;
pub(crate) mod picture;
mod plan;
mod preview;
mod request;
pub mod runs;
mod session;
mod settle;

use burn::tensor::{DType, FloatDType};
use image::RgbImage;
use wan_import::{Checkpoint, FileHash};
use wan_kernels::{DeviceCaps, compilations::DryRun};
/// The longest prompt that is read.
pub use wan_model::text::MAX_PROMPT_BYTES;
use wan_pipeline::{
    CancelToken, Diagnosis, Engine, FrameChunk, Health, Kept, ObserverError, PipelineError, Settled, Start,
    Subject,
};

use crate::{devices::Target, metadata::ModelFile, settings::Settings, verdicts::Finding};
use dump::{Dump, DumpError};
use keep::Beginning;
pub use keep::{Record, Trust};
use model::Model;
pub use model::{ModelPath, on_disk};
pub use plan::{JobPlan, plan};
pub use preview::PreviewRequest;
use preview::Previews;
use request::generate_request;
pub use request::{Request, matmul_dtype};
use runs::{Decoded, Keeper, Resumed, RunError, Saved};
pub use session::Session;

/// The resolved numbers of a job, known before any heavy work.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub width: usize,
    pub height: usize,
    pub frames: usize,
    pub fps: u32,
    pub steps: usize,
    /// Latent tokens of one forward.
    pub tokens: usize,
    /// Name of the device the job runs on.
    pub device: String,
    /// `f32`, `f16` or `bf16`.
    pub dtype: String,
    /// `int8` or `nf4`, if large layers are held in fewer bits.
    pub quant: Option<&'static str>,
    /// Largest resident set by the plan of the job's memory; 0 if there is none.
    pub planned_bytes: u64,
}

/// The parts of a job. A phase may come more than once; its seconds add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// Of the device's kernels, on its first use.
    Check,
    Load,
    Text,
    Image,
    /// What all steps share, and on an adapter their kernels.
    Prepare,
    Denoise,
    Decode,
}

/// What the engine tells while it works.
#[derive(Clone, Debug)]
pub enum Event {
    /// Sent once, before the plan: the settings with nothing left open, and the files of the model.
    Settled {
        settings: Box<Settings>,
        models: Vec<ModelFile>,
    },
    /// Sent once, before the first phase.
    Plan(Plan),
    PhaseStarted(Phase),
    /// What was decided for the user.
    Note(String),
    /// A transformer's weights are where they are used; `bytes` in its file.
    Loaded {
        bytes: u64,
        seconds: f64,
    },
    /// Of the text encoder's layers, or of the video that shows the pictures, `done` of `total` parts are done.
    Encoded {
        done: usize,
        total: usize,
    },
    /// Step `index` (from 0) of `total` is done and took `seconds`.
    Step {
        index: usize,
        total: usize,
        seconds: f64,
    },
    /// What the video will look like, as far as the steps that are done tell.
    Preview(RgbImage),
    /// The next frames in order, each exactly as large as the plan says.
    Frames(Vec<RgbImage>),
    /// The run goes on after `step` of `steps` steps.
    Resumed {
        step: usize,
        steps: usize,
    },
    /// What the run could go on from.
    State(Saved),
    PhaseFinished {
        phase: Phase,
        seconds: f64,
    },
    /// An operation that runs without its own kernel; told once.
    Fallback {
        finding: Finding,
        /// Name of the device.
        device: String,
    },
    /// What may make the result wrong.
    Warning(String),
}

/// Why a job ended early.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct EngineError {
    pub message: String,
    pub hint: Option<String>,
    /// The request was at fault, not the work.
    pub usage: bool,
    /// The token was raised.
    pub interrupted: bool,
}

/// Runs a job on this thread. `events` gets one [`Event::Plan`] first and the frames in order; the token is read at
/// least once per forward pass.
pub fn run(
    request: &Request,
    cancel: &CancelToken,
    events: &mut dyn FnMut(Event),
) -> Result<(), EngineError> {
    carry_out(request, &Opened::new(&request.settings)?, &mut None, || None, cancel, events)
}

/// [`run`] for the sake of the kernels alone: nothing that it tells of values means anything, so `request` must not ask to
/// stop at what they are. Where the driver does its part of the compilation when a kernel is first run, kernels are run.
/// Of `others`, prompts that differ in length, the text encoder and what comes before the first step is gone through;
/// with pictures, which would be encoded each time, the text encoder only.
pub fn rehearse(
    request: &Request,
    others: &[String],
    cancel: &CancelToken,
    events: &mut dyn FnMut(Event),
) -> Result<(), EngineError> {
    let runs = compiles_when_run(&request.device);
    let opened = Opened::new(&request.settings)?;
    let dry_run = || (!runs).then(DryRun::new);
    let mut kept: Option<Kept> = None;
    kept.get_or_insert_default().ahead = others.to_vec();
    for other in others.iter().filter(|_| request.settings.image.is_none()) {
        let settings = Settings { prompt: Some(other.clone()), ..request.settings.clone() };
        let request = Request { settings, ..request.clone() };
        to_first_step(cancel, events, |end, events| {
            carry_out(&request, &opened, &mut kept, dry_run, end, events)
        })?;
    }
    carry_out(request, &opened, &mut kept, dry_run, cancel, events)
}

/// `run` as far as its first step.
fn to_first_step(
    cancel: &CancelToken,
    events: &mut dyn FnMut(Event),
    run: impl FnOnce(&CancelToken, &mut dyn FnMut(Event)) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    let end = cancel.child();
    let mut until = |event| match event {
        Event::PhaseStarted(Phase::Denoise) => {
            end.cancel();
        }
        _ => events(event),
    };
    match run(&end, &mut until) {
        Err(error) if error.interrupted && !cancel.is_cancelled() => Ok(()),
        ended => ended,
    }
}

/// Whether the device's driver does its part when a kernel is first run, and not when it is made.
pub fn compiles_when_run(device: &Target) -> bool {
    DeviceCaps::of(&device.open()).software
}

/// A model and what its files are like.
struct Opened {
    model: Model,
    files: Vec<FileHash>,
}

impl Opened {
    fn new(settings: &Settings) -> Result<Self, EngineError> {
        let model = Model::open(settings)?;
        let files = model.checkpoint.fingerprints().map_err(PipelineError::from)?;
        Ok(Self { model, files })
    }

    fn checkpoint(&self) -> &Checkpoint {
        &self.model.checkpoint
    }
}

/// What is `kept` serves the run, and is what the next one finds. `prepare` is called when the device's kernels have been
/// checked, and what it gives lives to the end.
fn carry_out(
    request: &Request,
    opened: &Opened,
    kept: &mut Option<Kept>,
    prepare: impl FnOnce() -> Option<DryRun>,
    cancel: &CancelToken,
    events: &mut dyn FnMut(Event),
) -> Result<(), EngineError> {
    let settings = &request.settings;
    let resumed = request.trust.resume.as_deref().map(Resumed::open).transpose()?;
    let (checkpoint, files) = (opened.checkpoint(), opened.files.as_slice());
    let generate = generate_request(settings, checkpoint)?;
    // Refuses what is wrong in itself before a device is opened.
    generate.plan(checkpoint)?;
    let device = request.device.open();
    let settled = plan::settle_beside(request, checkpoint, &generate, &device, kept)?;
    settled.check()?;
    let Settled { plan, placement, .. } = &settled;
    let used = Box::new(settle::settings(plan, settings, placement));
    // A run that is gone on with keeps its tiles, whatever room there is then.
    let settings = Settings { vae_tiling: used.vae_tiling, ..settings.clone() };
    let request = &Request { settings, ..request.clone() };
    let mut beginning =
        Beginning::new(request, plan, files, (placement.dtype, placement.vae_memory), resumed)?;
    beginning.saved.take().into_iter().for_each(|saved| events(Event::State(saved)));
    let models = settle::models(files);
    events(Event::Settled { settings: used, models: models.clone() });
    announce(request, checkpoint, &settled, events);
    beginning.notes.iter().for_each(|note| events(Event::Note(note.clone())));
    kernels::first_use(&request.device, &device, cancel, events)?;
    let _dry_run = prepare();
    let fallbacks = kernels::Fallbacks::new(&request.device, &device);
    let previews = request.preview.as_ref().map(|wanted| Previews::new(wanted, checkpoint, &models, &device));
    let previews = previews.transpose().unwrap_or_else(|why| {
        events(Event::Warning(format!("no previews: {why}")));
        None
    });
    let (relay, start) = Relay::new(request, plan, fallbacks, beginning, events)?;
    let mut relay = Relay { previews, ..relay };
    let mut observer = |event: wan_pipeline::Event<'_>| relay.take(event);
    let (cancel, health) = (cancel.clone(), request.trust.health.into());
    let plain = Engine::new(device, cancel, &mut observer);
    let mut engine = Engine { placement: *placement, health, kept: kept.take(), ..plain };
    let result = match start {
        None => wan_pipeline::generate(checkpoint, plan, &mut engine),
        Some(start) => wan_pipeline::resume(checkpoint, plan, start, &mut engine),
    };
    *kept = engine.kept.take();
    result?;
    Ok(relay.finish()?)
}

/// Tells what was settled, what was decided for the user, and what may go wrong.
fn announce(request: &Request, checkpoint: &Checkpoint, settled: &Settled, events: &mut dyn FnMut(Event)) {
    let Settled { plan, placement, memory, notes, .. } = settled;
    let quant = checkpoint.dit.quant().or(placement.quant);
    let planned_bytes = memory.resident();
    events(Event::Plan(Plan { planned_bytes, ..describe(plan, request, placement.dtype, quant) }));
    plan.notes.iter().chain(notes).for_each(|note| events(Event::Note(note.clone())));
    let warnings = plan.warnings.iter().cloned().chain(plan::closeness(settled));
    warnings.for_each(|warning| events(Event::Warning(warning)));
}

fn describe(
    plan: &wan_pipeline::Plan,
    request: &Request,
    dtype: FloatDType,
    quant: Option<wan_import::Quant>,
) -> Plan {
    Plan {
        width: plan.width,
        height: plan.height,
        frames: plan.frames,
        fps: plan.fps as u32,
        steps: plan.schedule.steps(),
        tokens: plan.tokens,
        device: request.device.describe(),
        dtype: DType::from(dtype).name().to_owned(),
        quant: quant.map(wan_import::Quant::name),
        planned_bytes: 0,
    }
}

/// Turns the pipeline's events into the command's, and keeps what `--dump` asks for and what the run could go on from.
struct Relay<'a> {
    events: &'a mut dyn FnMut(Event),
    dump: Option<Dump>,
    keeper: Option<Keeper>,
    previews: Option<Previews>,
    fallbacks: kernels::Fallbacks,
    height: usize,
    /// Of what a warning was given already.
    unwell: Vec<(Subject, Health)>,
}

impl<'a> Relay<'a> {
    /// What a run that goes on has told before is told again.
    fn new(
        request: &Request,
        plan: &wan_pipeline::Plan,
        fallbacks: kernels::Fallbacks,
        beginning: Beginning,
        events: &'a mut dyn FnMut(Event),
    ) -> Result<(Self, Option<Start>), EngineError> {
        let Beginning { keeper, start, decoded, dumped, .. } = beginning;
        let steps = plan.schedule.steps();
        let dump = request.dump.as_deref().map(|folder| Dump::new(folder, dumped, steps)).transpose()?;
        if let Some(start) = &start {
            events(Event::Resumed { step: start.snapshot.step, steps });
        }
        let (height, unwell) = (plan.height, Vec::new());
        let mut relay = Self { events, dump, keeper, previews: None, fallbacks, height, unwell };
        if let Some(decoded) = decoded {
            relay.repeat(&decoded, plan)?;
        }
        Ok((relay, start))
    }

    /// Frames that were decoded before.
    fn repeat(&mut self, decoded: &Decoded, plan: &wan_pipeline::Plan) -> Result<(), RunError> {
        let (width, height, rounding) = (plan.width, plan.height, plan.rounding);
        let values = if decoded.floats() { size_of::<f32>() } else { 1 };
        decoded.each(width * height * 3 * values, &mut |bytes| {
            if !decoded.floats() {
                let picture = RgbImage::from_raw(width as u32, height as u32, bytes);
                (self.events)(Event::Frames(picture.into_iter().collect()));
                return Ok(());
            }
            let values = bytemuck::pod_collect_to_vec(&bytes);
            let chunk = FrameChunk { width, height, values, rounding };
            (self.events)(Event::Frames(pictures(&chunk)));
            if let Some(dump) = &mut self.dump {
                dump.frames(&chunk);
            }
            Ok(())
        })
    }

    fn take(&mut self, event: wan_pipeline::Event<'_>) -> Result<(), ObserverError> {
        if let Some(dump) = &mut self.dump {
            dump.take(&event)?;
        }
        for event in self.fallbacks.untold() {
            (self.events)(event);
        }
        self.keep(&event)?;
        match event {
            wan_pipeline::Event::Started(phase) => (self.events)(Event::PhaseStarted(phase.into())),
            wan_pipeline::Event::Finished { phase, seconds } => {
                (self.events)(Event::PhaseFinished { phase: phase.into(), seconds });
            }
            wan_pipeline::Event::Loaded { bytes, seconds } => (self.events)(Event::Loaded { bytes, seconds }),
            wan_pipeline::Event::Step { step, seconds } => {
                (self.events)(Event::Step { index: step.index, total: step.total, seconds });
                let picture = self.previews.as_ref().and_then(|previews| previews.picture(step));
                picture.into_iter().for_each(|picture| (self.events)(Event::Preview(picture)));
            }
            wan_pipeline::Event::Encoded { done, total } => (self.events)(Event::Encoded { done, total }),
            wan_pipeline::Event::Frames(chunk) => (self.events)(Event::Frames(pictures(&chunk))),
            wan_pipeline::Event::Unwell(diagnosis) => self.warn(diagnosis),
            wan_pipeline::Event::Text { .. } | wan_pipeline::Event::Pause { .. } => {}
        }
        Ok(())
    }

    fn keep(&mut self, event: &wan_pipeline::Event<'_>) -> Result<(), RunError> {
        let Self { keeper: Some(keeper), dump, events, .. } = self else { return Ok(()) };
        let dumped = || dump.iter().flat_map(Dump::steps).collect();
        match keeper.take(event, &dumped)? {
            None => {}
            Some(runs::Kept::State(saved)) => events(Event::State(saved)),
            Some(runs::Kept::NoFrames(error)) => {
                let instead = "a stop while decoding would lose the frames, not the latents";
                events(Event::Warning(format!("{error}; {instead}")));
            }
        }
        Ok(())
    }

    /// Once for each thing that can be wrong.
    fn warn(&mut self, diagnosis: &Diagnosis) {
        let what = (diagnosis.subject, diagnosis.health);
        if !self.unwell.contains(&what) {
            self.unwell.push(what);
            (self.events)(Event::Warning(format!("{diagnosis}; {}", diagnosis.advice())));
        }
    }

    fn finish(mut self) -> Result<(), DumpError> {
        for event in self.fallbacks.untold() {
            (self.events)(event);
        }
        self.dump.map_or(Ok(()), |dump| dump.finish(self.height))
    }
}

fn pictures(chunk: &FrameChunk) -> Vec<RgbImage> {
    let (width, height) = (chunk.width as u32, chunk.height as u32);
    chunk.rgb8().filter_map(|bytes| RgbImage::from_raw(width, height, bytes)).collect()
}

impl From<wan_pipeline::Phase> for Phase {
    fn from(phase: wan_pipeline::Phase) -> Self {
        match phase {
            wan_pipeline::Phase::Text => Self::Text,
            wan_pipeline::Phase::Image => Self::Image,
            wan_pipeline::Phase::Load => Self::Load,
            wan_pipeline::Phase::Prepare => Self::Prepare,
            wan_pipeline::Phase::Denoise => Self::Denoise,
            wan_pipeline::Phase::Decode => Self::Decode,
        }
    }
}

impl From<PipelineError> for EngineError {
    fn from(error: PipelineError) -> Self {
        Self {
            message: error.to_string(),
            hint: error.hint().or_else(|| observers_hint(&error)),
            usage: error.is_usage(),
            interrupted: matches!(error, PipelineError::Cancelled),
        }
    }
}

/// The way out of what keeping a dump or a state ended with.
fn observers_hint(error: &PipelineError) -> Option<String> {
    let PipelineError::Observer(error) = error else { return None };
    let state = error.downcast_ref::<RunError>().and_then(RunError::hint);
    let dump = error.downcast_ref::<DumpError>().and_then(DumpError::hint);
    state.or(dump).map(str::to_owned)
}

impl From<RunError> for EngineError {
    fn from(error: RunError) -> Self {
        let hint = error.hint().map(str::to_owned);
        Self { message: error.to_string(), hint, usage: error.is_usage(), interrupted: false }
    }
}

impl From<DumpError> for EngineError {
    fn from(error: DumpError) -> Self {
        let usage = matches!(error, DumpError::Noise { .. });
        let hint = error.hint().map(str::to_owned);
        Self { message: error.to_string(), hint, usage, interrupted: false }
    }
}

/// What a checkpoint folder or file is, as a JSON object.
pub fn inspect(path: &ModelPath) -> Result<serde_json::Value, EngineError> {
    let (path, _unpacked) = on_disk(path)?;
    Ok(inspect::describe(&path).map_err(PipelineError::from)?)
}
