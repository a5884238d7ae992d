//! Whether a run is still worth its time: cheap statistics of every step and of the frames.

use std::fmt;

use burn::prelude::*;

use crate::{FrameChunk, Phase, Step};

/// What a run does about [`Health`] that is not good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HealthCheck {
    Off,
    /// Tells it and goes on.
    Warn,
    #[default]
    Stop,
}

/// What is wrong with a tensor of a run, if anything is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Ok,
    /// NaN, infinity, or so large that a square of it is.
    NonFinite,
    /// The same value everywhere.
    Flat,
    /// Far from the noise level that the schedule says.
    Exploding,
}

/// Of which tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The network's, guidance included.
    Output,
    Latents,
    Frames,
}

/// A [`Health`] that is not good: of what, and where in the run.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnosis {
    pub health: Health,
    pub subject: Subject,
    pub phase: Phase,
    /// From 1: of the denoising step, or of the latent frame.
    pub step: usize,
    pub total: usize,
    /// The numbers it was seen by.
    pub evidence: String,
    /// In which precision the phase computes: `f32`, `f16` or `bf16`.
    pub dtype: &'static str,
}

/// What the values of a tensor are like. NaN or infinite where one of them is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Statistics {
    /// Root of the mean square.
    pub rms: f64,
    /// Standard deviation over positions, within each channel and each place in a square of 2x2.
    pub spread: f64,
    /// Share of values beyond [`SATURATED`] in size.
    pub saturated: f64,
}

/// Of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepStatistics {
    /// Of the network's output, guidance included.
    pub output: Statistics,
    /// Of the latents after the step.
    pub latents: Statistics,
}

/// Fewest positions of which a spread says anything.
const FEW_POSITIONS: usize = 16;
/// A network's output is noise minus data, of a spread of about 1, and latents are of pictures with something in them.
pub const FLAT: f64 = 1e-2;
/// Normalised latents lie within a few units. Guidance stretches the network's output, data and latents with it: a
/// scale of 20 still keeps a root mean square below 10.
const LARGE_DATA: f64 = 20.0;
/// Beyond it a value of latents is out of scale; noise of a few units has none there.
pub const SATURATED: f64 = 30.0;
const LARGE_SHARE: f64 = 0.01;
const FEW_UNITS: f64 = 5.0;
/// Levels of a picture, 0 to 1, closer than which two cannot be told from each other.
const LEVEL: f32 = 1.0 / 255.0;

impl Statistics {
    /// Sums of one tensor, not read back: mean square, variance within channels, saturated share.
    ///
    /// # Shapes
    /// - `x`: `[1, c, f, h, w]`; output `[3]`
    fn sums(x: &Tensor<5>) -> Tensor<1> {
        let x = by_lattice(x.clone());
        let square = x.clone().powi_scalar(2).mean();
        let centred = x.clone() - x.clone().mean_dim(1);
        let variance = centred.powi_scalar(2).mean();
        let saturated = x.abs().greater_elem(SATURATED).float().mean();
        Tensor::cat(vec![square, variance, saturated], 0)
    }

    fn of_sums(sums: &[f32]) -> Self {
        let at = |index: usize| sums.get(index).map_or(f64::NAN, |&sum| f64::from(sum));
        Self { rms: at(0).sqrt(), spread: at(1).sqrt(), saturated: at(2) }
    }
}

impl StepStatistics {
    /// Reads six numbers back, which also waits for the step's work on the device to end.
    pub fn of(step: &Step) -> Self {
        let sums = Tensor::cat(vec![Statistics::sums(&step.flow), Statistics::sums(&step.latents)], 0);
        // A float tensor converted to f32 has f32 values.
        let sums: Vec<f32> = sums.into_data().convert::<f32>().try_into_vec().unwrap_or_default();
        let (output, latents) = sums.split_at(sums.len() / 2);
        Self { output: Statistics::of_sums(output), latents: Statistics::of_sums(latents) }
    }

    /// The tensor at fault and what is wrong with it. `noise` is the root mean square of the noise that the run began
    /// with.
    pub fn health(&self, step: &Step, noise: f64) -> Option<(Subject, Health, String)> {
        let positions: usize = step.latents.dims()[2..].iter().product();
        let positions = positions / 4;
        let flat = |x: &Statistics| positions >= FEW_POSITIONS && x.spread < FLAT;
        let Self { output, latents } = self;
        let (of_output, of_latents) = (noise.hypot(LARGE_DATA), largest_rms(step.next_sigma, noise));
        let (subject, health, found) = match () {
            () if !output.rms.is_finite() => (Subject::Output, Health::NonFinite, *output),
            () if !latents.rms.is_finite() => (Subject::Latents, Health::NonFinite, *latents),
            () if output.rms > of_output => (Subject::Output, Health::Exploding, *output),
            () if latents.rms > of_latents => (Subject::Latents, Health::Exploding, *latents),
            () if latents.saturated > LARGE_SHARE && noise < FEW_UNITS => {
                (Subject::Latents, Health::Exploding, *latents)
            }
            () if flat(output) => (Subject::Output, Health::Flat, *output),
            () if flat(latents) => (Subject::Latents, Health::Flat, *latents),
            () => return None,
        };
        Some((subject, health, found.to_string()))
    }
}

/// The largest root mean square that latents have at a noise level `sigma`, of noise with a root mean square of `noise`
/// at 1. Noise and data are independent, so that squares add up; twice that is left as room.
pub fn largest_rms(sigma: f64, noise: f64) -> f64 {
    2.0 * (sigma * noise).hypot((1.0 - sigma) * LARGE_DATA)
}

/// Networks write patches of 2x2 positions, so that one without any input writes the same square everywhere: positions
/// that lie alike within a square are rows of their own.
///
/// # Shapes
/// - `x`: `[1, c, f, h, w]`; output `[4 c, f * h / 2 * w / 2]`, or `[c, f * h * w]` for odd sizes
fn by_lattice(x: Tensor<5>) -> Tensor<2> {
    let [_, c, f, h, w] = x.dims();
    if h % 2 == 1 || w % 2 == 1 {
        return x.reshape([c, f * h * w]);
    }
    let x: Tensor<6> = x.reshape([c, f, h / 2, 2, w / 2, 2]);
    x.permute([0, 3, 5, 1, 2, 4]).reshape([4 * c, f * h * w / 4])
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rms {:.3}, spread {:.3}", self.rms, self.spread)
    }
}

/// What is wrong with decoded frames, if anything is: a value that is not finite, or one colour all over every frame.
pub(crate) fn frames_health(chunk: &FrameChunk) -> Option<(Health, String)> {
    if !chunk.values.iter().all(|value| value.is_finite()) {
        return Some((Health::NonFinite, "a pixel is not finite".to_owned()));
    }
    let frame = chunk.width * chunk.height * 3;
    let one_pixel = chunk.width * chunk.height < FEW_POSITIONS;
    let plain: Option<Vec<[f32; 3]>> = chunk.values.chunks(frame.max(1)).map(colour).collect();
    let colour = plain.filter(|_| !one_pixel)?.first().copied()?;
    let level = colour.map(|value| (value.clamp(0.0, 1.0) * 255.0).round());
    let name = if level.iter().all(|&value| value < 2.0) { "black" } else { "one colour" };
    Some((Health::Flat, format!("{name}: {level:?} of 255")))
}

/// The colour of a frame that has only one.
fn colour(frame: &[f32]) -> Option<[f32; 3]> {
    let pixels = frame.as_chunks::<3>().0;
    let first = *pixels.first()?;
    let (mut low, mut high) = (first, first);
    for pixel in pixels {
        for (channel, value) in pixel.iter().enumerate() {
            low[channel] = low[channel].min(*value);
            high[channel] = high[channel].max(*value);
        }
    }
    let plain = (0..3).all(|channel| high[channel] - low[channel] < LEVEL);
    plain.then_some(first)
}

impl Diagnosis {
    /// The likeliest cause, and what to try.
    pub fn advice(&self) -> String {
        let reference = "WAN_KERNELS=reference, which leaves own kernels out";
        match (self.health, self.subject) {
            (Health::NonFinite, _) if self.dtype == "f16" => {
                let flag = if self.subject == Subject::Frames { "--vae-dtype" } else { "--dtype" };
                format!("likeliest a value beyond the range of f16: use {flag} f32")
            }
            (Health::NonFinite, _) => {
                format!("likeliest a wrong kernel on this device: try {reference}; else weights are damaged")
            }
            (Health::Exploding, _) if self.dtype != "f32" => {
                format!(
                    "likeliest too little precision or too much guidance: try --dtype f32, less --guidance, or {reference}"
                )
            }
            (Health::Exploding, _) => {
                format!(
                    "likeliest too much guidance, or weights of another model: try less --guidance, or {reference}"
                )
            }
            (_, Subject::Frames) => {
                format!(
                    "likeliest a wrong kernel in the decoder: try {reference}; --health off if it is meant to be plain"
                )
            }
            _ => format!("likeliest weights that are zero, or a kernel that does nothing: try {reference}"),
        }
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.subject {
            Subject::Output => "the transformer's output is",
            Subject::Latents => "the latents are",
            Subject::Frames => "the picture is",
        };
        let is = match (self.health, self.subject) {
            (Health::NonFinite, _) => "not finite",
            (Health::Exploding, _) => "far from the noise level",
            (_, Subject::Frames) => "of one colour",
            _ => "the same everywhere",
        };
        let of = if self.subject == Subject::Frames { "latent frame" } else { "step" };
        write!(f, "{what} {is} after {of} {} of {} ({})", self.step, self.total, self.evidence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rounding;

    fn chunk(frames: usize, value: impl Fn(usize) -> f32) -> FrameChunk {
        let (width, height) = (6, 4);
        let values = (0..frames * width * height * 3).map(value).collect();
        FrameChunk { width, height, values, rounding: Rounding::Nearest }
    }

    #[test]
    fn frames_of_one_colour_are_told_from_frames_with_something_on_them() {
        let health = |frames, value: &dyn Fn(usize) -> f32| frames_health(&chunk(frames, value));
        let flat = |found: Option<(Health, String)>, words: &str| {
            let (health, evidence) = found.expect("flat");
            assert!(health == Health::Flat && evidence.starts_with(words), "{evidence}");
        };
        flat(health(2, &|_| 0.001), "black");
        flat(health(1, &|i| [0.2, 0.5, 0.9][i % 3]), "one colour: [51.0, 128.0, 230.0]");
        assert_eq!(health(1, &|i| if i == 40 { 0.01 } else { 0.0 }), None, "a dot");
        assert_eq!(health(2, &|i| if i == 140 { 0.1 } else { 0.0 }), None, "a dot on the second frame");
        let nan = health(1, &|i| if i == 7 { f32::NAN } else { i as f32 });
        assert_eq!(nan.map(|(health, _)| health), Some(Health::NonFinite));
    }
}
