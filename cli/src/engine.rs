//! The engine as the command sees it; the only file that reaches the libraries below.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use image::RgbImage;
use serde::Serialize;

use crate::{CancelToken, devices::Target};

/// Which sampler integrates the latents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Solver {
    /// UniPC, second order
    Unipc,
    /// DPM-Solver++ 2M
    #[value(name = "dpm++")]
    #[serde(rename = "dpm++")]
    DpmPlusPlus,
    /// Euler
    Euler,
}

/// Whose sigma grid and sizing rules apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Schedule {
    /// what the checkpoint's layout implies
    Auto,
    /// the official code's
    Official,
    /// diffusers', with the values of its scheduler_config.json
    Diffusers,
}

/// Precision of matmul inputs and weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DtypeChoice {
    /// the best the device computes in
    Auto,
    F32,
    F16,
    Bf16,
}

/// One text-to-video job. `None` means the model's default.
#[derive(Clone, Debug)]
pub struct Request {
    pub model: Option<PathBuf>,
    pub dit: Option<PathBuf>,
    pub vae: Option<PathBuf>,
    pub text_encoder: Option<PathBuf>,
    pub tokenizer: Option<PathBuf>,
    pub prompt: String,
    /// `Some("")` stays empty.
    pub negative: Option<String>,
    /// Width and height in pixels.
    pub size: Option<(usize, usize)>,
    pub frames: Option<usize>,
    pub seconds: Option<f64>,
    pub fps: Option<u32>,
    pub steps: Option<usize>,
    pub solver: Option<Solver>,
    pub shift: Option<f64>,
    pub guidance: Option<f64>,
    pub schedule: Schedule,
    pub seed: u64,
    /// Safetensors file with `noise`, instead of the seed.
    pub noise: Option<PathBuf>,
    pub device: Target,
    pub dtype: DtypeChoice,
    /// Folder for `text.safetensors`, `latents.safetensors` and `frames.safetensors`.
    pub dump: Option<PathBuf>,
}

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
}

/// The parts of a job. A phase may come more than once; its seconds add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    Load,
    Text,
    Denoise,
    Decode,
}

/// What the engine tells while it works.
#[derive(Clone, Debug)]
pub enum Event {
    /// Sent once, before the first phase.
    Plan(Plan),
    PhaseStarted(Phase),
    LoadProgress {
        bytes: u64,
        total: u64,
    },
    /// Step `index` (from 0) of `total` is done and took `seconds`.
    Step {
        index: usize,
        total: usize,
        seconds: f64,
    },
    /// The next frames in order, each exactly as large as the plan says.
    Frames(Vec<RgbImage>),
    PhaseFinished {
        phase: Phase,
        seconds: f64,
    },
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
/// least once per step.
pub fn run(
    _request: &Request,
    _cancel: &CancelToken,
    _events: &mut dyn FnMut(Event),
) -> Result<(), EngineError> {
    Err(absent())
}

/// What a checkpoint folder or file is, as a JSON object.
pub fn inspect(_path: &Path) -> Result<serde_json::Value, EngineError> {
    Err(absent())
}

fn absent() -> EngineError {
    let message = "this build has no engine".to_owned();
    EngineError { message, hint: None, usage: false, interrupted: false }
}
