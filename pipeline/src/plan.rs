//! A request with every value settled.

use std::ops::Range;

use wan_model::{FlowSchedule, Grid, LatentShape, Solver, camera::CameraPath, image::Picture, torch_randn};

use crate::{Rounding, Task};

/// What [`crate::generate`] carries out; nothing in it can be illegal for its checkpoint.
#[derive(Clone, Debug)]
pub struct Plan {
    pub task: Task,
    pub prompt: String,
    pub negative: String,
    /// The pictures the video starts and ends with.
    pub images: Option<Images>,
    /// As long as the video.
    pub camera: Option<CameraPath>,
    pub width: usize,
    pub height: usize,
    pub frames: usize,
    pub fps: f64,
    pub solver: Solver,
    /// Whose preparation of pictures and whose masking is followed.
    pub rules: Grid,
    pub schedule: FlowSchedule,
    pub shift: f64,
    pub guidance: Guidance,
    /// The timestep from which on the expert for high noise works, if there are two.
    pub boundary: Option<f64>,
    pub latent: LatentShape,
    /// Video tokens of one forward pass.
    pub tokens: usize,
    pub rounding: Rounding,
    pub seed: u64,
    /// What was decided for the user, a line each.
    pub notes: Vec<String>,
    /// What may make the video other than wanted, a line each.
    pub warnings: Vec<String>,
    pub(crate) noise: Option<Vec<f32>>,
}

/// Guidance scales; the same where there is one transformer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guidance {
    pub low: f64,
    pub high: f64,
}

/// The pictures of a request.
#[derive(Clone, Debug)]
pub struct Images {
    pub first: Picture,
    pub last: Option<Picture>,
}

/// Steps that one transformer makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Whether it is the expert for high noise; `false` where there is one transformer.
    pub high: bool,
    pub steps: Range<usize>,
}

impl Plan {
    /// The starting latents `[c, t, h, w]`: the given noise, or what PyTorch's CPU generator draws for the seed.
    pub fn noise(&self) -> Vec<f32> {
        self.noise.clone().unwrap_or_else(|| torch_randn(self.seed, self.latent.elements()))
    }

    /// Root mean square of the starting noise.
    pub fn noise_rms(&self) -> f64 {
        let Some(noise) = &self.noise else { return 1.0 };
        let squares: f64 = noise.iter().map(|&value| f64::from(value).powi(2)).sum();
        (squares / noise.len().max(1) as f64).sqrt()
    }

    /// The texts to encode: the prompt and, if the run is guided, the negative prompt.
    pub fn prompts(&self) -> Vec<&str> {
        match self.guided() {
            true => vec![&self.prompt, &self.negative],
            false => vec![&self.prompt],
        }
    }

    /// Whether any step needs a second forward pass.
    pub fn guided(&self) -> bool {
        self.stages().iter().any(|stage| self.guidance.of(stage.high) != 1.0)
    }

    /// The run's steps by the transformer that makes them.
    pub fn stages(&self) -> Vec<Stage> {
        stages(&self.schedule.timesteps, self.boundary)
    }
}

impl Guidance {
    /// Of the expert for high or for low noise.
    pub fn of(self, high: bool) -> f64 {
        if high { self.high } else { self.low }
    }
}

/// Timesteps fall, so that those at and above the boundary come first.
fn stages(timesteps: &[f64], boundary: Option<f64>) -> Vec<Stage> {
    let split = boundary.map_or(0, |boundary| timesteps.iter().take_while(|&&t| t >= boundary).count());
    let all = [(true, 0..split), (false, split..timesteps.len())];
    all.into_iter()
        .filter(|(_, steps)| !steps.is_empty())
        .map(|(high, steps)| Stage { high, steps })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_at_the_boundary_and_above_are_high() {
        let split = |boundary| stages(&[999.0, 900.0, 899.0, 10.0], boundary);
        let (high, low) = (|steps| Stage { high: true, steps }, |steps| Stage { high: false, steps });
        assert_eq!(split(Some(900.0)), [high(0..2), low(2..4)]);
        assert_eq!(split(Some(0.0)), [high(0..4)]);
        assert_eq!(split(Some(1000.0)), [low(0..4)]);
        assert_eq!(split(None), [low(0..4)]);
    }

    /// High-noise steps of the official schedules, counted by hand for the released models.
    #[test]
    fn released_models_switch_where_the_official_code_does() {
        let high = |steps, shift, boundary: f64| {
            let schedule =
                FlowSchedule::new(Solver::UniPc, Grid::Official, steps, shift).expect("a schedule");
            stages(&schedule.timesteps, Some(boundary * 1000.0))[0].steps.len()
        };
        assert_eq!(high(40, 12.0, 0.875), 26);
        assert_eq!(high(40, 5.0, 0.9), 15);
        assert_eq!(high(20, 5.0, 0.9), 8);
        assert_eq!(high(8, 5.0, 0.9), 3);
        assert_eq!(high(70, 10.0, 0.947), 26);
        assert_eq!(high(20, 10.0, 0.947), 8);
    }
}
