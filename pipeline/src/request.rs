//! What the user asked for, checked against the checkpoint and made complete.

use wan_import::{Checkpoint, Layout};
use wan_model::{
    FlowSchedule, Grid, LatentShape, SamplingDefaults, Solver, Strides, camera::CameraPath, image::Picture,
    text::negative_prompt,
};

use crate::{
    Guidance, Images, PipelineError, Plan, Rounding, Stage, Task,
    size::{Extent, latent},
};

/// Whose sigma grid, sizes and preparation of pictures a run follows.
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

/// One video; whatever is `None` takes the model's default.
#[derive(Clone, Debug, Default)]
pub struct GenerateRequest {
    /// Refused if the checkpoint is for another.
    pub task: Option<Task>,
    pub prompt: String,
    /// `None` is the model's own negative prompt, empty stays empty.
    pub negative: Option<String>,
    /// The first frame.
    pub image: Option<Picture>,
    /// The last frame.
    pub last_image: Option<Picture>,
    pub camera: Option<CameraPath>,
    /// Width and height in pixels.
    pub size: Option<(usize, usize)>,
    /// Pixels of a frame with the image's proportions, about; for want of a size.
    pub area: Option<usize>,
    /// `4n + 1`.
    pub frames: Option<usize>,
    pub fps: Option<f64>,
    pub steps: Option<usize>,
    pub solver: Option<Solver>,
    pub shift: Option<f64>,
    /// Of both experts where there are two.
    pub guidance: Option<f64>,
    /// Of the expert for low noise, if it has its own.
    pub guidance_low: Option<f64>,
    /// Of the expert for high noise, if it has its own.
    pub guidance_high: Option<f64>,
    /// Noise level from which on the expert for high noise works, 0 to 1.
    pub boundary: Option<f64>,
    pub schedule: Schedule,
    pub seed: u64,
    /// Instead of the seed's.
    pub noise: Option<Noise>,
}

/// Timesteps of a noise level of 1.
const TIMESTEPS: f64 = 1000.0;

impl GenerateRequest {
    /// Checks the request against `checkpoint` and fills in its defaults. Loads no weights.
    pub fn plan(&self, checkpoint: &Checkpoint) -> Result<Plan, PipelineError> {
        let (config, own) = (&checkpoint.dit_config, &checkpoint.generation);
        let task = self.checked_task(&config.kind)?;
        let rules = self.rules(checkpoint);
        let mut notes = Vec::new();
        let Extent { width, height, area } = self.extent(checkpoint, rules, &mut notes)?;
        let defaults = SamplingDefaults::of(config, Some(area));
        let frames = self.frames.or(own.num_frames).unwrap_or(defaults.frames);
        let camera = self.camera.as_ref().map(|path| path.cut(Some(frames))).transpose()?;
        let frames = self.cut_frames(frames, camera.as_ref(), &mut notes);
        let latent = latent(checkpoint, (width, height), frames)?;
        let shift = self.shift.or(scheduler_shift(checkpoint)).unwrap_or(defaults.shift);
        let solver = self.solver(checkpoint, rules)?;
        let steps = self.steps.or(own.num_inference_steps).unwrap_or(defaults.steps);
        let negative = self.negative.clone().or(own.negative_prompt.clone());
        let mut plan = Plan {
            task,
            prompt: self.prompt.clone(),
            negative: negative.unwrap_or_else(|| negative_prompt(&config.kind).into_owned()),
            images: self.images(rules, &mut notes)?,
            camera,
            width,
            height,
            frames,
            fps: in_range("fps", self.fps.unwrap_or_else(|| default_fps(checkpoint)), 0.1, 1000.0)?,
            solver,
            rules,
            schedule: FlowSchedule::new(solver, rules, steps, shift)?,
            shift,
            guidance: self.guidance(checkpoint, &defaults)?,
            boundary: self.boundary(checkpoint, &defaults)?,
            tokens: latent.tokens(config.patch),
            rounding: if rules == Grid::Diffusers { Rounding::Nearest } else { Rounding::Truncate },
            noise: self.checked_noise(&latent)?,
            latent,
            seed: self.seed,
            notes,
            warnings: Vec::new(),
        };
        if task == Task::World && plan.camera.is_none() {
            plan.notes.push("no camera path: the camera branch is left out".to_owned());
        }
        plan.tell_experts(checkpoint);
        Ok(plan)
    }

    fn rules(&self, checkpoint: &Checkpoint) -> Grid {
        match (self.schedule, checkpoint.layout) {
            (Schedule::Diffusers, _) | (Schedule::Auto, Layout::Diffusers) => Grid::Diffusers,
            _ => Grid::Official,
        }
    }

    fn solver(&self, checkpoint: &Checkpoint, rules: Grid) -> Result<Solver, PipelineError> {
        let class = checkpoint.scheduler.as_ref().and_then(|config| config.class_name.as_deref());
        match (self.solver, class) {
            (Some(solver), _) => Ok(solver),
            (None, Some(class)) if rules == Grid::Diffusers => solver_of_class(class),
            _ => Ok(Solver::UniPc),
        }
    }

    /// The camera path's length, where there is one.
    fn cut_frames(&self, asked: usize, camera: Option<&CameraPath>, notes: &mut Vec<String>) -> usize {
        let (Some(cut), Some(whole)) = (camera, &self.camera) else { return asked };
        let (frames, poses) = (cut.poses().len(), whole.poses().len());
        if frames < asked {
            notes.push(format!("{frames} frames instead of {asked}: the camera path has {poses} poses"));
        }
        let (all, _) = Strides::VAE_2_1.nearest_frames(poses);
        if self.frames.is_none() && all > frames {
            notes.push(format!("{frames} frames; --frames {all} follows the camera path to its end"));
        }
        frames
    }

    /// The pictures. By the official rules the last one is cut to the first one's proportions; diffusers stretches it.
    fn images(&self, rules: Grid, notes: &mut Vec<String>) -> Result<Option<Images>, PipelineError> {
        let Some(first) = self.image.clone() else { return Ok(None) };
        let Some(last) = &self.last_image else { return Ok(Some(Images { first, last: None })) };
        let cut = last.cropped_to_proportions(first.height(), first.width())?;
        let sides = |picture: &Picture| (picture.width(), picture.height());
        if sides(&cut) == sides(last) {
            return Ok(Some(Images { first, last: Some(cut) }));
        }
        let ((w, h), (from_w, from_h)) = (sides(&cut), sides(last));
        let (last, done) = match rules {
            Grid::Official => {
                (cut, format!("is cut from {from_w}x{from_h} to {w}x{h}, the first's proportions"))
            }
            Grid::Diffusers => (
                last.clone(),
                "has other proportions than the first and is stretched, as diffusers does".into(),
            ),
        };
        notes.push(format!("the last image {done}"));
        Ok(Some(Images { first, last: Some(last) }))
    }

    /// The request's, the folder's, or the model's; one scale alone holds for both experts.
    fn guidance(
        &self,
        checkpoint: &Checkpoint,
        defaults: &SamplingDefaults,
    ) -> Result<Guidance, PipelineError> {
        if self.guidance_high.or(self.guidance_low).is_some() && checkpoint.dit_high.is_none() {
            return Err(PipelineError::OneTransformer("guidance at one noise level"));
        }
        let own = &checkpoint.generation;
        let (low, high) = defaults.guidance;
        let low = self
            .guidance_low
            .or(self.guidance)
            .or(own.guidance_scale_2)
            .or(own.guidance_scale)
            .unwrap_or(low);
        let high = self.guidance_high.or(self.guidance).or(own.guidance_scale).unwrap_or(high);
        let range = |value| in_range("guidance", value, 0.0, 1000.0);
        Ok(Guidance { low: range(low)?, high: range(high)? })
    }

    /// As a timestep; `None` where there is one transformer.
    fn boundary(
        &self,
        checkpoint: &Checkpoint,
        defaults: &SamplingDefaults,
    ) -> Result<Option<f64>, PipelineError> {
        match (checkpoint.dit_high.is_some(), self.boundary) {
            (false, Some(_)) => Err(PipelineError::OneTransformer("boundary")),
            (false, None) => Ok(None),
            (true, asked) => {
                let own = asked.or(checkpoint.pipeline.boundary_ratio).or(defaults.boundary);
                let boundary = own.ok_or(PipelineError::NoBoundary)?;
                in_range("boundary", boundary, 0.0, 1.0).map(|boundary| Some(boundary * TIMESTEPS))
            }
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
    /// Says which file is which expert: no tensor shows it.
    fn tell_experts(&mut self, checkpoint: &Checkpoint) {
        let Some(high) = &checkpoint.dit_high else { return };
        for Stage { high: is_high, steps } in self.stages() {
            let (level, expert) = if is_high { ("high", high) } else { ("low", &checkpoint.dit) };
            let path = expert.source.path().display();
            self.notes.push(format!("{level} noise, steps {} to {}: {path}", steps.start + 1, steps.end));
        }
        if checkpoint.experts_look_swapped() {
            let warning = "the names of the two transformers say high and low noise the other way round";
            self.warnings.push(warning.to_owned());
        }
    }
}

/// Frames per second of a clip unless the request says otherwise.
pub fn default_fps(checkpoint: &Checkpoint) -> f64 {
    let usual = || SamplingDefaults::of(&checkpoint.dit_config, None).fps as f64;
    checkpoint.generation.fps.unwrap_or_else(usual)
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
