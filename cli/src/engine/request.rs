//! A job as the command line gives it, and as the pipeline takes it.

use std::path::PathBuf;

use burn::tensor::{DType, Device, FloatDType};
use clap::ValueEnum;
use serde::Serialize;
use wan_import::Checkpoint;
use wan_pipeline::{GenerateRequest, default_fps};

use super::{EngineError, ModelPath, camera, dump, picture};
use crate::devices::Target;

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

/// What is made from what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Task {
    /// what the checkpoint is for
    Auto,
    /// text to video
    T2v,
    /// first frame and text to video
    I2v,
    /// first frame, last frame and text to video
    Flf2v,
    /// text, and a first frame or none, to video
    Ti2v,
    /// first frame, text and camera path to a walk through that world
    World,
}

/// Whose sigma grid, sizing rules and preparation of pictures apply.
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

/// Precision of what the VAE holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum VaeDtype {
    F32,
    F16,
}

/// In how many bits large layers are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Quant {
    /// those of --dtype
    None,
    /// eight, a scale for 256 values of a row
    Int8,
    /// four, bitsandbytes' code book for 64 values
    Nf4,
}

impl Quant {
    pub(super) fn weights(self) -> Option<wan_import::Quant> {
        match self {
            Self::None => None,
            Self::Int8 => Some(wan_import::Quant::Int8),
            Self::Nf4 => Some(wan_import::Quant::Nf4),
        }
    }
}

/// What waits on the host for its turn on the device. Text encoder, image encoder, transformers and VAE always take
/// turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Offload {
    /// the components, as with model
    Auto,
    /// no part of a component at work
    None,
    /// the components that are not at work
    Model,
    /// the blocks of the transformer too, but for two
    Block,
}

/// One job. `None` means the model's default.
#[derive(Clone, Debug)]
pub struct Request {
    pub task: Task,
    pub model: Option<ModelPath>,
    pub dit: Option<PathBuf>,
    pub dit_high: Option<PathBuf>,
    pub vae: Option<PathBuf>,
    pub text_encoder: Option<PathBuf>,
    pub image_encoder: Option<PathBuf>,
    pub tokenizer: Option<PathBuf>,
    pub prompt: String,
    /// `Some("")` stays empty.
    pub negative: Option<String>,
    pub image: Option<PathBuf>,
    pub last_image: Option<PathBuf>,
    pub camera: Option<PathBuf>,
    /// Width and height in pixels.
    pub size: Option<(usize, usize)>,
    /// Pixels of a frame with the image's proportions.
    pub area: Option<usize>,
    pub frames: Option<usize>,
    pub seconds: Option<f64>,
    pub fps: Option<u32>,
    pub steps: Option<usize>,
    pub solver: Option<Solver>,
    pub shift: Option<f64>,
    pub guidance: Option<f64>,
    pub guidance_high: Option<f64>,
    pub boundary: Option<f64>,
    pub schedule: Schedule,
    pub seed: u64,
    /// Safetensors file with `noise`, instead of the seed.
    pub noise: Option<PathBuf>,
    pub device: Target,
    pub dtype: DtypeChoice,
    pub quant: Quant,
    pub offload: Offload,
    pub vae_dtype: VaeDtype,
    /// Folder for `text.safetensors`, `latents.safetensors` and `frames.safetensors`.
    pub dump: Option<PathBuf>,
}

/// Reads the files the job names; whatever it leaves open stays open.
pub(super) fn generate_request(
    request: &Request,
    checkpoint: &Checkpoint,
) -> Result<GenerateRequest, EngineError> {
    let fps = request.fps.map(f64::from);
    let frames = |seconds| frames_of(seconds, fps.unwrap_or_else(|| default_fps(checkpoint)));
    Ok(GenerateRequest {
        task: task(request.task),
        prompt: request.prompt.clone(),
        negative: request.negative.clone(),
        image: request.image.as_deref().map(picture::read).transpose()?,
        last_image: request.last_image.as_deref().map(picture::read).transpose()?,
        camera: request.camera.as_deref().map(camera::read).transpose()?,
        size: request.size,
        area: request.area,
        frames: request.frames.or_else(|| request.seconds.map(frames)),
        fps,
        steps: request.steps,
        solver: request.solver.map(|solver| match solver {
            Solver::Unipc => wan_model::Solver::UniPc,
            Solver::DpmPlusPlus => wan_model::Solver::DpmPp,
            Solver::Euler => wan_model::Solver::Euler,
        }),
        shift: request.shift,
        guidance: request.guidance,
        guidance_high: request.guidance_high,
        boundary: request.boundary,
        schedule: match request.schedule {
            Schedule::Auto => wan_pipeline::Schedule::Auto,
            Schedule::Official => wan_pipeline::Schedule::Official,
            Schedule::Diffusers => wan_pipeline::Schedule::Diffusers,
        },
        seed: request.seed,
        noise: request.noise.as_deref().map(dump::read_noise).transpose()?,
    })
}

fn task(task: Task) -> Option<wan_pipeline::Task> {
    match task {
        Task::Auto => None,
        Task::T2v => Some(wan_pipeline::Task::T2v),
        Task::I2v => Some(wan_pipeline::Task::I2v),
        Task::Flf2v => Some(wan_pipeline::Task::Flf2v),
        Task::Ti2v => Some(wan_pipeline::Task::Ti2v),
        Task::World => Some(wan_pipeline::Task::World),
    }
}

/// The frame count `4n + 1` nearest to a duration, or one far beyond what any model makes.
fn frames_of(seconds: f64, fps: f64) -> usize {
    let groups = ((seconds * fps - 1.0) / 4.0).round().clamp(0.0, f64::from(u32::MAX));
    groups as usize * 4 + 1
}

/// `auto`: f16 on a graphics card that computes in it, f32 elsewhere, where f16 gains nothing.
pub(super) fn dtype(request: &Request, device: &Device) -> Result<FloatDType, EngineError> {
    let dtype = match request.dtype {
        DtypeChoice::F32 => FloatDType::F32,
        DtypeChoice::F16 => FloatDType::F16,
        DtypeChoice::Bf16 => FloatDType::BF16,
        DtypeChoice::Auto if request.device.is_graphics_card() && device.supports_dtype(FloatDType::F16) => {
            FloatDType::F16
        }
        DtypeChoice::Auto => FloatDType::F32,
    };
    if device.supports_dtype(dtype) {
        return Ok(dtype);
    }
    let (name, device) = (DType::from(dtype).name(), request.device.describe());
    Err(EngineError {
        message: format!("--dtype {name}: {device} does not compute in {name}"),
        hint: Some("use --dtype f32, or auto".to_owned()),
        usage: true,
        interrupted: false,
    })
}
