//! What can go wrong between a request and its frames.

use wan_import::ImportError;
use wan_model::{LatentError, ModelError, ScheduleError, camera::CameraError, image::PictureError};

use crate::{Diagnosis, Phase, Shortage, Task};

/// An error of a run. [`Self::hint`] says the way out where there is one.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    #[error(transparent)]
    Latent(#[from] LatentError),
    #[error(
        "{width}x{height} with {frames} frames has {tokens} positions along one axis; the model knows {limit}"
    )]
    TooManyPositions { width: usize, height: usize, frames: usize, tokens: usize, limit: usize },
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    #[error("{name} is {value}, outside {low} to {high}")]
    OutOfRange { name: &'static str, value: f64, low: f64, high: f64 },
    #[error("the noise has shape {found:?}; this request needs {expected:?}")]
    NoiseShape { found: Vec<usize>, expected: Vec<usize> },
    #[error("the noise holds a value that is not finite")]
    NoiseNotFinite,
    #[error("the scheduler `{name}` of this checkpoint is not known")]
    UnknownScheduler { name: String },
    #[error("this device cannot compute in {0}")]
    DtypeUnavailable(&'static str),
    #[error("{0}")]
    Unwell(Diagnosis),
    /// What a run is to go on from is not of that run.
    #[error("this state does not fit its run: {0}")]
    Snapshot(String),
    #[error("this checkpoint is not for {task}, but for {}", list(possible))]
    WrongTask { task: Task, possible: &'static [Task] },
    #[error("{task} needs {} {what}", article(what))]
    InputMissing { what: &'static str, task: Task },
    #[error("{task} takes no {what}")]
    InputUnused { what: &'static str, task: Task },
    #[error("an area without an image has no proportions")]
    AreaWithoutImage,
    /// A setting of two experts.
    #[error("this checkpoint has one transformer for all noise levels; a {0} is for two")]
    OneTransformer(&'static str),
    #[error("nothing says at which noise level this checkpoint's two transformers take turns")]
    NoBoundary,
    #[error(transparent)]
    Camera(#[from] CameraError),
    #[error(transparent)]
    Picture(#[from] PictureError),
    #[error("there is no prompt to follow")]
    NoPrompt,
    /// By the plan of its memory, which is an estimate.
    #[error("{}", does_not_fit(shortage, *phase))]
    DoesNotFit {
        shortage: Shortage,
        /// The one that takes most.
        phase: Phase,
        /// Flags under which it would fit.
        ways: Vec<String>,
    },
    #[error("interrupted")]
    Cancelled,
    #[error(transparent)]
    Import(#[from] ImportError),
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The observer of the events failed; its own error.
    #[error("{0}")]
    Observer(Box<dyn std::error::Error + Send + Sync>),
}

impl PipelineError {
    /// The way out, in one line.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Latent(error) => latent_hint(error),
            Self::TooManyPositions { .. } => Some("use a smaller size or fewer frames".into()),
            Self::OutOfRange { name, low, high, .. } => {
                Some(format!("give {} {name} from {low} to {high}", article(name)))
            }
            Self::NoiseShape { .. } => {
                Some("the shape is [channels, latent frames, height / 8, width / 8] for most models".into())
            }
            Self::UnknownScheduler { .. } => Some("choose one with --solver and --schedule".into()),
            Self::DtypeUnavailable(_) => Some("use --dtype f32".into()),
            Self::Unwell(diagnosis) => Some(diagnosis.advice()),
            Self::WrongTask { .. } => Some("use --task auto, or another checkpoint".into()),
            Self::InputMissing { what, .. } => Some(format!("add --{} FILE", flag(what))),
            Self::InputUnused { what, .. } => {
                Some(format!("leave --{} out, or use a checkpoint that takes one", flag(what)))
            }
            Self::AreaWithoutImage => Some("use --size".into()),
            Self::OneTransformer(_) => Some("leave it out; --guidance sets the scale of all steps".into()),
            Self::NoBoundary => Some("give it with --boundary, for example 0.875".into()),
            Self::DoesNotFit { ways, .. } => Some(ways_hint(ways)),
            Self::Camera(error) => error.hint(),
            Self::Import(error) => error.hint(),
            _ => None,
        }
    }

    /// Whether the request itself was at fault, before any work was done.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Latent(_)
                | Self::Schedule(_)
                | Self::TooManyPositions { .. }
                | Self::OutOfRange { .. }
                | Self::NoiseShape { .. }
                | Self::NoiseNotFinite
                | Self::WrongTask { .. }
                | Self::InputMissing { .. }
                | Self::InputUnused { .. }
                | Self::AreaWithoutImage
                | Self::OneTransformer(_)
                | Self::NoBoundary
                | Self::DoesNotFit { .. }
                | Self::Camera(_)
                | Self::Picture(_)
        )
    }
}

fn does_not_fit(shortage: &Shortage, phase: Phase) -> String {
    let Shortage { what, needed, available, .. } = shortage;
    let [needed, available] = [needed, available].map(|&bytes| bytes as f64 / 1e9);
    let work = match phase {
        Phase::Text => "encoding the prompt",
        Phase::Image => "encoding the images",
        Phase::Load => "loading the transformer",
        Phase::Prepare => "preparing the steps",
        Phase::Denoise => "denoising",
        Phase::Decode => "decoding the video",
    };
    format!("{work} needs about {needed:.1} GB of {what}; {available:.1} GB are available")
}

fn ways_hint(ways: &[String]) -> String {
    match ways {
        [] => "nothing smaller was found that fits; --memory-limit none tries it all the same".to_owned(),
        ways => format!(
            "it would fit with {}; --memory-limit none tries it all the same",
            ways.join(", or with ")
        ),
    }
}

fn list(tasks: &[Task]) -> String {
    tasks.iter().map(Task::to_string).collect::<Vec<_>>().join(" or ")
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

/// The option that takes `what`.
fn flag(what: &str) -> String {
    what.trim_end_matches(" path").replace(' ', "-")
}

fn latent_hint(error: &LatentError) -> Option<String> {
    match error {
        LatentError::IllegalFrameCount { below, above, .. } if below == above => Some(format!("use {below}")),
        LatentError::IllegalFrameCount { below, above, .. } => Some(format!("use {below} or {above}")),
        LatentError::IllegalSize { near_h, near_w, .. } => Some(format!("use {near_w}x{near_h}")),
        LatentError::TooLarge { .. } => Some("use a smaller size or fewer frames".into()),
    }
}
