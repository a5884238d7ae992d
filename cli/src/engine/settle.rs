//! A run's settings with nothing left open, so that they give the same run again.

use burn::tensor::FloatDType;
use wan_import::FileHash;
use wan_model::Grid;
use wan_pipeline::{Placement, Plan};

use crate::{
    metadata::ModelFile,
    settings::{DtypeChoice, Schedule, Settings, Size, Solver, Task, VaeTiling},
};

/// Timesteps of a noise level of 1.
const TIMESTEPS: f64 = 1000.0;

/// The values of `plan`; the device stays what was asked for.
pub fn settings(plan: &Plan, given: &Settings, placement: &Placement) -> Settings {
    let tiling = placement.vae_memory.tiling;
    let tiles = tiling.map(|tiling| tiling.counts([plan.latent.height, plan.latent.width]));
    let two = plan.boundary.is_some();
    Settings {
        prompt: Some(plan.prompt.clone()),
        negative: Some(plan.negative.clone()),
        model: given.model(),
        task: Some(task(plan.task)),
        size: Some(Size { width: plan.width, height: plan.height }),
        area: None,
        frames: Some(plan.frames),
        seconds: None,
        fps: Some(plan.fps as u32),
        steps: Some(plan.schedule.steps()),
        solver: Some(solver(plan.solver)),
        shift: Some(plan.shift),
        guidance: (!two).then_some(plan.guidance.low),
        guidance_low: two.then_some(plan.guidance.low),
        guidance_high: two.then_some(plan.guidance.high),
        boundary: given.boundary.or(plan.boundary.map(|timestep| timestep / TIMESTEPS)),
        schedule: Some(match plan.rules {
            Grid::Official => Schedule::Official,
            Grid::Diffusers => Schedule::Diffusers,
        }),
        seed: given.noise.is_none().then_some(plan.seed),
        dtype: Some(match placement.dtype {
            FloatDType::F16 => DtypeChoice::F16,
            FloatDType::BF16 => DtypeChoice::Bf16,
            _ => DtypeChoice::F32,
        }),
        quant: Some(given.quant.unwrap_or_default()),
        vae_dtype: Some(given.vae_dtype.unwrap_or_default()),
        vae_tiling: Some(tiles.map_or(VaeTiling::Off, VaeTiling::Tiles)),
        memory_limit: None,
        ..given.clone()
    }
}

fn task(task: wan_pipeline::Task) -> Task {
    match task {
        wan_pipeline::Task::T2v => Task::T2v,
        wan_pipeline::Task::I2v => Task::I2v,
        wan_pipeline::Task::Flf2v => Task::Flf2v,
        wan_pipeline::Task::Ti2v => Task::Ti2v,
        wan_pipeline::Task::World => Task::World,
    }
}

fn solver(solver: wan_model::Solver) -> Solver {
    match solver {
        wan_model::Solver::UniPc => Solver::Unipc,
        wan_model::Solver::DpmPp => Solver::DpmPlusPlus,
        wan_model::Solver::Euler => Solver::Euler,
    }
}

/// The model's files, by their names alone.
pub fn models(files: &[FileHash]) -> Vec<ModelFile> {
    let named = |file: &FileHash| ModelFile {
        component: file.component.clone(),
        file: file.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        bytes: file.bytes,
        hash: file.hash.clone(),
    };
    files.iter().map(named).collect()
}
