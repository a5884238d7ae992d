//! What the user asked for, checked against the checkpoint and made complete.

use wan_import::{Checkpoint, Layout};
use wan_model::{
    FlowSchedule, Grid, LatentShape, SamplingDefaults, Solver, Strides, text::NEGATIVE_PROMPT, torch_randn,
};

use crate::{PipelineError, Rounding};

/// Whose sigma grid and rounding a run follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Schedule {
    /// The layout's own: a diffusers folder samples as diffusers does, anything else as the official code.
    #[default]
    Auto,
    Official,
    Diffusers,
}

/// Starting noise given by the user.
#[derive(Clone, Debug)]
pub struct Noise {
    /// `[c, t, h, w]` or `[1, c, t, h, w]`.
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

/// A text-to-video request; whatever is `None` takes the model's default.
#[derive(Clone, Debug, Default)]
pub struct GenerateRequest {
    pub prompt: String,
    /// `None` is the model's own negative prompt, empty stays empty.
    pub negative: Option<String>,
    /// Width and height in pixels.
    pub size: Option<(usize, usize)>,
    /// `4n + 1`.
    pub frames: Option<usize>,
    pub fps: Option<f64>,
    pub steps: Option<usize>,
    pub solver: Option<Solver>,
    pub shift: Option<f64>,
    pub guidance: Option<f64>,
    pub schedule: Schedule,
    pub seed: u64,
    /// Instead of the seed's.
    pub noise: Option<Noise>,
}

/// A request with every value settled; nothing in it can be illegal for its checkpoint.
#[derive(Clone, Debug)]
pub struct Plan {
    pub prompt: String,
    pub negative: String,
    pub width: usize,
    pub height: usize,
    pub frames: usize,
    pub fps: f64,
    pub solver: Solver,
    pub schedule: FlowSchedule,
    pub shift: f64,
    pub guidance: f64,
    pub latent: LatentShape,
    /// Video tokens of one forward pass.
    pub tokens: usize,
    pub rounding: Rounding,
    pub seed: u64,
    noise: Option<Vec<f32>>,
}

/// Positions a rotary table is trained for, per axis.
const MAX_POSITION: usize = 1024;
/// Width and height the released models share.
const DEFAULT_SIZE: (usize, usize) = (832, 480);

impl GenerateRequest {
    /// Checks the request against `checkpoint` and fills in its defaults. Loads no weights.
    pub fn plan(&self, checkpoint: &Checkpoint) -> Result<Plan, PipelineError> {
        let defaults = SamplingDefaults::t2v_14b();
        let own = &checkpoint.generation;
        let (width, height) = self.size.or(own.size()).unwrap_or(DEFAULT_SIZE);
        let frames = self.frames.or(own.num_frames).unwrap_or(defaults.frames);
        let latent = latent(checkpoint, (width, height), frames)?;
        let grid = self.grid(checkpoint);
        let shift = self.shift.or(scheduler_shift(checkpoint)).unwrap_or(defaults.shift);
        let solver = self.solver(checkpoint, grid)?;
        let steps = self.steps.or(own.num_inference_steps).unwrap_or(defaults.steps);
        let guidance = self.guidance.or(own.guidance_scale).unwrap_or(defaults.guidance.0);
        let negative = self.negative.as_ref().or(own.negative_prompt.as_ref());
        Ok(Plan {
            prompt: self.prompt.clone(),
            negative: negative.map_or(NEGATIVE_PROMPT, String::as_str).to_owned(),
            width,
            height,
            frames,
            fps: in_range("fps", self.fps.unwrap_or_else(|| default_fps(checkpoint)), 0.1, 1000.0)?,
            solver,
            schedule: FlowSchedule::new(solver, grid, steps, shift)?,
            shift,
            guidance: in_range("guidance", guidance, 0.0, 1000.0)?,
            tokens: latent.tokens(checkpoint.dit_config.patch),
            rounding: if grid == Grid::Diffusers { Rounding::Nearest } else { Rounding::Truncate },
            noise: self.checked_noise(&latent)?,
            latent,
            seed: self.seed,
        })
    }

    fn grid(&self, checkpoint: &Checkpoint) -> Grid {
        match (self.schedule, checkpoint.layout) {
            (Schedule::Diffusers, _) | (Schedule::Auto, Layout::Diffusers) => Grid::Diffusers,
            _ => Grid::Official,
        }
    }

    fn solver(&self, checkpoint: &Checkpoint, grid: Grid) -> Result<Solver, PipelineError> {
        let class = checkpoint.scheduler.as_ref().and_then(|config| config.class_name.as_deref());
        match (self.solver, class) {
            (Some(solver), _) => Ok(solver),
            (None, Some(class)) if grid == Grid::Diffusers => solver_of_class(class),
            _ => Ok(Solver::UniPc),
        }
    }

    fn checked_noise(&self, latent: &LatentShape) -> Result<Option<Vec<f32>>, PipelineError> {
        let Some(noise) = &self.noise else { return Ok(None) };
        let expected = latent.dims()[1..].to_vec();
        let found = noise.shape.strip_prefix(&[1]).filter(|s| s.len() == 4).unwrap_or(&noise.shape);
        if found != expected {
            return Err(PipelineError::NoiseShape { found: noise.shape.clone(), expected });
        }
        if !noise.values.iter().all(|v| v.is_finite()) {
            return Err(PipelineError::NoiseNotFinite);
        }
        Ok(Some(noise.values.clone()))
    }
}

impl Plan {
    /// The starting latents `[c, t, h, w]`: the given noise, or what PyTorch's CPU generator draws for the seed.
    pub fn noise(&self) -> Vec<f32> {
        self.noise.clone().unwrap_or_else(|| torch_randn(self.seed, self.latent.elements()))
    }

    /// Whether each step needs a second forward pass.
    pub fn guided(&self) -> bool {
        self.guidance != 1.0
    }
}

/// Frames per second of a clip unless the request says otherwise.
pub fn default_fps(checkpoint: &Checkpoint) -> f64 {
    checkpoint.generation.fps.unwrap_or(SamplingDefaults::t2v_14b().fps as f64)
}

fn latent(
    checkpoint: &Checkpoint,
    (width, height): (usize, usize),
    frames: usize,
) -> Result<LatentShape, PipelineError> {
    let (dit, vae) = (&checkpoint.dit_config, &checkpoint.vae_config);
    let strides =
        Strides { temporal: vae.temporal_factor(), spatial: vae.spatial_factor(), patch: dit.patch };
    let latent = strides.latent(vae.z_dim, frames, height, width)?;
    let tokens = latent.token_grid(dit.patch).into_iter().max().unwrap_or(0);
    if tokens > MAX_POSITION {
        return Err(PipelineError::TooManyPositions { width, height, frames, tokens, limit: MAX_POSITION });
    }
    Ok(latent)
}

fn scheduler_shift(checkpoint: &Checkpoint) -> Option<f64> {
    checkpoint.scheduler.as_ref().and_then(|config| config.flow_shift.or(config.shift))
}

fn solver_of_class(name: &str) -> Result<Solver, PipelineError> {
    match name {
        "UniPCMultistepScheduler" => Ok(Solver::UniPc),
        "DPMSolverMultistepScheduler" => Ok(Solver::DpmPp),
        "FlowMatchEulerDiscreteScheduler" => Ok(Solver::Euler),
        _ => Err(PipelineError::UnknownScheduler { name: name.to_owned() }),
    }
}

fn in_range(name: &'static str, value: f64, low: f64, high: f64) -> Result<f64, PipelineError> {
    if (low..=high).contains(&value) {
        Ok(value)
    } else {
        Err(PipelineError::OutOfRange { name, value, low, high })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_out_of_range_are_refused() {
        assert!(in_range("fps", f64::NAN, 0.0, 1.0).is_err());
        assert!(in_range("fps", 1.5, 0.0, 1.0).is_err());
        assert!(in_range("fps", 1.0, 0.0, 1.0).is_ok());
    }
}
