//! A job as the command line gives it, and as the pipeline takes it.

use std::path::PathBuf;

use burn::tensor::{DType, Device, FloatDType};
use wan_import::Checkpoint;
use wan_pipeline::{GenerateRequest, default_fps};

use super::{EngineError, PreviewRequest, Trust, camera, dump, picture};
use crate::{
    devices::Target,
    settings::{Area, DtypeChoice, Quant, Schedule, Settings, Solver, Task},
};

/// One job.
#[derive(Clone, Debug)]
pub struct Request {
    /// With a model, a prompt and a seed.
    pub settings: Settings,
    pub device: Target,
    /// Folder for `text.safetensors`, `latents.safetensors` and `frames.safetensors`.
    pub dump: Option<PathBuf>,
    pub trust: Trust,
    pub preview: Option<PreviewRequest>,
}

impl Quant {
    /// `None` for floats.
    pub fn weights(self) -> Option<wan_import::Quant> {
        match self {
            Self::None => None,
            Self::Int8 => Some(wan_import::Quant::Int8),
            Self::Nf4 => Some(wan_import::Quant::Nf4),
        }
    }
}

/// Reads the files the settings name; whatever they leave open stays open.
pub(super) fn generate_request(
    settings: &Settings,
    checkpoint: &Checkpoint,
) -> Result<GenerateRequest, EngineError> {
    let fps = settings.fps.map(f64::from);
    let frames = |seconds| frames_of(seconds, fps.unwrap_or_else(|| default_fps(checkpoint)));
    Ok(GenerateRequest {
        task: task(settings.task.unwrap_or_default()),
        prompt: settings.prompt.clone().unwrap_or_default(),
        negative: settings.negative.clone(),
        image: settings.image.as_deref().map(picture::read).transpose()?,
        last_image: settings.last_image.as_deref().map(picture::read).transpose()?,
        camera: settings.camera.as_deref().map(camera::read).transpose()?,
        size: settings.size.map(|size| (size.width, size.height)),
        area: settings.area.as_ref().map(Area::pixels),
        frames: settings.frames.or_else(|| settings.seconds.map(frames)),
        fps,
        steps: settings.steps,
        solver: settings.solver.map(|solver| match solver {
            Solver::Unipc => wan_model::Solver::UniPc,
            Solver::DpmPlusPlus => wan_model::Solver::DpmPp,
            Solver::Euler => wan_model::Solver::Euler,
        }),
        shift: settings.shift,
        guidance: settings.guidance,
        guidance_low: settings.guidance_low,
        guidance_high: settings.guidance_high,
        boundary: settings.boundary,
        schedule: match settings.schedule.unwrap_or_default() {
            Schedule::Auto => wan_pipeline::Schedule::Auto,
            Schedule::Official => wan_pipeline::Schedule::Official,
            Schedule::Diffusers => wan_pipeline::Schedule::Diffusers,
        },
        seed: settings.seed.unwrap_or_default(),
        noise: settings.noise.as_deref().map(dump::read_noise).transpose()?,
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
pub fn matmul_dtype(
    choice: DtypeChoice,
    target: &Target,
    device: &Device,
) -> Result<FloatDType, EngineError> {
    let dtype = match choice {
        DtypeChoice::F32 => FloatDType::F32,
        DtypeChoice::F16 => FloatDType::F16,
        DtypeChoice::Bf16 => FloatDType::BF16,
        DtypeChoice::Auto if target.is_graphics_card() && device.supports_dtype(FloatDType::F16) => {
            FloatDType::F16
        }
        DtypeChoice::Auto => FloatDType::F32,
    };
    if device.supports_dtype(dtype) {
        return Ok(dtype);
    }
    let (name, device) = (DType::from(dtype).name(), target.describe());
    Err(EngineError {
        message: format!("--dtype {name}: {device} does not compute in {name}"),
        hint: Some("use --dtype f32, or auto".to_owned()),
        usage: true,
        interrupted: false,
    })
}
