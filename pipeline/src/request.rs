//! What the user asked for, checked against the checkpoint and made complete.

use wan_import::{Checkpoint, Layout};
use wan_model::{
    LatentShape, NEGATIVE_PROMPT, noise,
    scheduler::{FlowSchedule, Grid, Solver},
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
    /// `None` is the official negative prompt, empty stays empty.
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
const MAX_STEPS: usize = 1000;

impl GenerateRequest {
    /// Checks the request against `checkpoint` and fills in its defaults. Loads no weights.
    pub fn plan(&self, checkpoint: &Checkpoint) -> Result<Plan, PipelineError> {
        let defaults = wan_model::SamplingDefaults::t2v();
        let (width, height) = self.size.unwrap_or((832, 480));
        let frames = self.frames.unwrap_or(defaults.frames);
        let latent = self.latent(checkpoint, width, height, frames)?;
        let [_, ph, pw] = checkpoint.dit_config()?.patch;
        let grid = self.grid(checkpoint)?;
        let steps = in_range("steps", self.steps.unwrap_or(defaults.steps), 1, MAX_STEPS)?;
        let shift = finite_range("shift", self.shift.or(scheduler_shift(checkpoint)).unwrap_or(defaults.shift), 1e-3, 1e3)?;
        let solver = self.solver(checkpoint, grid)?;
        Ok(Plan {
            prompt: self.prompt.clone(),
            negative: self.negative.clone().unwrap_or_else(|| NEGATIVE_PROMPT.to_owned()),
            width,
            height,
            frames,
            fps: finite_range("fps", self.fps.unwrap_or(f64::from(defaults.fps)), 0.1, 1000.0)?,
            solver,
            schedule: FlowSchedule::new(solver, grid, steps, shift)?,
            shift,
            guidance: finite_range("guidance", self.guidance.unwrap_or(defaults.guidance.0), 0.0, 1000.0)?,
            tokens: latent.frames * (latent.height / ph) * (latent.width / pw),
            rounding: if grid == Grid::Diffusers { Rounding::Nearest } else { Rounding::Truncate },
            noise: self.checked_noise(&latent)?,
            latent,
            seed: self.seed,
        })
    }
}

impl GenerateRequest {
    fn latent(
        &self,
        checkpoint: &Checkpoint,
        width: usize,
        height: usize,
        frames: usize,
    ) -> Result<LatentShape, PipelineError> {
        let (dit, vae) = (checkpoint.dit_config()?, checkpoint.vae_config()?);
        let [_, ph, pw] = dit.patch;
        let (spatial, temporal) = (vae.spatial_stride(), vae.temporal_stride());
        legal_size(width, height, spatial * ph.max(pw))?;
        legal_frames(frames, temporal)?;
        let latent = LatentShape {
            channels: dit.out_dim,
            frames: (frames - 1) / temporal + 1,
            height: height / spatial,
            width: width / spatial,
        };
        let longest = latent.frames.max(latent.height / ph).max(latent.width / pw);
        if longest > MAX_POSITION {
            return Err(PipelineError::TooLarge { width, height, frames, tokens: longest, limit: MAX_POSITION });
        }
        Ok(latent)
    }

    fn grid(&self, checkpoint: &Checkpoint) -> Result<Grid, PipelineError> {
        Ok(match (self.schedule, checkpoint.layout()) {
            (Schedule::Diffusers, _) | (Schedule::Auto, Layout::Diffusers) => Grid::Diffusers,
            _ => Grid::Official,
        })
    }

    fn solver(&self, checkpoint: &Checkpoint, grid: Grid) -> Result<Solver, PipelineError> {
        match (self.solver, checkpoint.scheduler()) {
            (Some(solver), _) => Ok(solver),
            (None, Some(config)) if grid == Grid::Diffusers => solver_of_class(&config.class_name),
            _ => Ok(Solver::UniPc),
        }
    }

    fn checked_noise(&self, latent: &LatentShape) -> Result<Option<Vec<f32>>, PipelineError> {
        let Some(noise) = &self.noise else { return Ok(None) };
        let expected = vec![latent.channels, latent.frames, latent.height, latent.width];
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
        let len = self.latent.channels * self.latent.frames * self.latent.height * self.latent.width;
        self.noise.clone().unwrap_or_else(|| noise::torch_randn(self.seed, len))
    }

    /// Whether each step needs a second forward pass.
    pub fn guided(&self) -> bool {
        self.guidance != 1.0
    }
}

fn scheduler_shift(checkpoint: &Checkpoint) -> Option<f64> {
    checkpoint.scheduler().and_then(|config| config.shift())
}

fn solver_of_class(name: &str) -> Result<Solver, PipelineError> {
    match name {
        "UniPCMultistepScheduler" => Ok(Solver::UniPc),
        "DPMSolverMultistepScheduler" => Ok(Solver::DpmPp),
        "FlowMatchEulerDiscreteScheduler" => Ok(Solver::Euler),
        _ => Err(PipelineError::UnknownScheduler { name: name.to_owned() }),
    }
}

fn legal_size(width: usize, height: usize, multiple: usize) -> Result<(), PipelineError> {
    let nearest = |n: usize| ((n + multiple / 2) / multiple).max(1) * multiple;
    let near = (nearest(width), nearest(height));
    if near == (width, height) {
        return Ok(());
    }
    Err(PipelineError::IllegalSize { width, height, multiple, near })
}

fn legal_frames(frames: usize, stride: usize) -> Result<(), PipelineError> {
    if frames % stride == 1 % stride {
        return Ok(());
    }
    let below = frames.saturating_sub(1) / stride * stride + 1;
    Err(PipelineError::IllegalFrameCount { frames, stride, below, above: below + stride })
}

fn in_range(name: &'static str, value: usize, low: usize, high: usize) -> Result<usize, PipelineError> {
    finite_range(name, value as f64, low as f64, high as f64).map(|_| value)
}

fn finite_range(name: &'static str, value: f64, low: f64, high: f64) -> Result<f64, PipelineError> {
    if (low..=high).contains(&value) { Ok(value) } else { Err(PipelineError::OutOfRange { name, value, low, high }) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn refused_frame_counts_name_legal_neighbours(frames in 0usize..10_000) {
            match legal_frames(frames, 4) {
                Ok(()) => prop_assert_eq!(frames % 4, 1),
                Err(PipelineError::IllegalFrameCount { below, above, .. }) => {
                    prop_assert!(legal_frames(below, 4).is_ok() && legal_frames(above, 4).is_ok());
                    prop_assert_eq!(above - below, 4);
                    prop_assert!(frames < above && (below < frames || frames == 0));
                }
                Err(other) => return Err(TestCaseError::fail(other.to_string())),
            }
        }

        #[test]
        fn refused_sizes_name_a_legal_one(width in 0usize..5_000, height in 0usize..5_000) {
            if let Err(PipelineError::IllegalSize { near: (w, h), .. }) = legal_size(width, height, 16) {
                prop_assert!(legal_size(w, h, 16).is_ok());
                prop_assert!(w.abs_diff(width) <= 16 && h.abs_diff(height) <= 16);
            }
        }
    }

    #[test]
    fn values_out_of_range_are_refused() {
        assert!(finite_range("shift", f64::NAN, 0.0, 1.0).is_err());
        assert!(in_range("steps", 0, 1, 1000).is_err());
        assert!(in_range("steps", 1000, 1, 1000).is_ok());
    }
}
