//! Decoding and encoding of a video by a VAE.

use std::ops::ControlFlow;

use burn::{prelude::*, tensor::Distribution};
use serde::Serialize;
use wan_import::ImportError;
use wan_model::{VaeConfig, VaeMemory};

use crate::{
    Networks,
    memory::{peak_memory_bytes, reset_peak},
    processor_seconds,
    step::median_of,
    time,
};

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    pub device: Device,
    pub networks: Networks,
    /// Width, height and frames in pixels.
    pub video: [usize; 3],
    pub memory: VaeMemory,
    pub warmup: usize,
    pub runs: usize,
}

/// One direction.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub model: String,
    /// `decode` or `encode`.
    pub what: &'static str,
    pub video: String,
    pub frames: usize,
    /// `f32`, or `f16` for what is remembered of earlier frames.
    pub memory_dtype: &'static str,
    pub load_seconds: f64,
    /// Of the first run, which compiles what was not compiled yet.
    pub first_seconds: f64,
    /// Of each run after the warm-up, a whole video each.
    pub seconds: Vec<f64>,
    pub median_seconds: f64,
    /// Of all threads, the mean of all runs; what compares on a shared machine.
    pub processor_seconds: Option<f64>,
    pub seconds_per_frame: f64,
    pub megapixels_per_second: f64,
    /// Of the process, since the weights began to be loaded.
    pub peak_memory_bytes: Option<u64>,
}

/// A whole video's work.
type Work = Box<dyn Fn()>;

/// Measures decoding, then encoding, until `told` breaks off.
///
/// # Errors
/// Those of loading.
pub fn run(
    options: &Options,
    mut told: impl FnMut(Row) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, ImportError> {
    let config = options.networks.vae_config()?;
    for (what, make) in [("decode", decoding as fn(&_, &_) -> _), ("encode", encoding)] {
        if told(row(options, what, make, &config)?).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn row(
    options: &Options,
    what: &'static str,
    make: fn(&Options, &VaeConfig) -> Result<Work, ImportError>,
    config: &VaeConfig,
) -> Result<Row, ImportError> {
    reset_peak();
    let mut work = None;
    let load_seconds = time(1, || work = Some(make(options, config)))[0];
    let work = work.transpose()?.unwrap_or_else(|| Box::new(|| ()));
    let start = processor_seconds();
    let all = time(options.warmup + options.runs, work);
    let spent = processor_seconds().zip(start).map(|(end, start)| (end - start) / all.len() as f64);
    let [width, height, frames] = options.video;
    let median_seconds = median_of(&all[options.warmup..]);
    Ok(Row {
        model: options.networks.name.clone(),
        what,
        video: format!("{width}x{height}x{frames}"),
        frames,
        memory_dtype: if options.memory.half { "f16" } else { "f32" },
        load_seconds,
        first_seconds: all.first().copied().unwrap_or_default(),
        seconds: all[options.warmup..].to_vec(),
        median_seconds,
        processor_seconds: spent,
        seconds_per_frame: median_seconds / frames as f64,
        megapixels_per_second: (width * height * frames) as f64 / median_seconds / 1e6,
        peak_memory_bytes: peak_memory_bytes(),
    })
}

fn decoding(options: &Options, config: &VaeConfig) -> Result<Work, ImportError> {
    let decoder = options.networks.decoder(&options.device)?.with_memory(options.memory);
    let [width, height, frames] = options.video;
    let [rows, columns] = [height, width].map(|side| side / config.spatial_factor());
    let latents = noise([config.z_dim, config.latent_frames(frames), rows, columns], &options.device);
    Ok(Box::new(move || decoder.stream(latents.clone()).for_each(|video| check(&video))))
}

fn encoding(options: &Options, config: &VaeConfig) -> Result<Work, ImportError> {
    let encoder = options.networks.encoder(&options.device)?.with_memory(options.memory);
    let [width, height, frames] = options.video;
    let chunk = noise([3, config.temporal_factor(), height, width], &options.device).clamp(-1.0, 1.0);
    let rest = config.latent_frames(frames) - 1;
    Ok(Box::new(move || {
        let first = chunk.clone().slice_dim(2, 0..1);
        let video = [first].into_iter().chain(std::iter::repeat_n(chunk.clone(), rest));
        encoder.encode_stream(video).for_each(|latents| check(&latents));
    }))
}

fn noise([c, t, h, w]: [usize; 4], device: &Device) -> Tensor<5> {
    Tensor::<3>::random([c * t, h, w], Distribution::Normal(0.0, 1.0), device).reshape([1, c, t, h, w])
}

/// Waits for the result.
fn check(result: &Tensor<5>) {
    let mean = result.clone().abs().mean().into_scalar::<f32>();
    assert!(mean > 0.0 && mean.is_finite(), "the result is flat or not finite: {mean}");
}
