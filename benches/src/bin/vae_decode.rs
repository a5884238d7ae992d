//! Time and peak memory of a full-size VAE decode with random weights: `vae_decode [frames height width]`.

use std::{
    io::{self, Write},
    time::Instant,
};

use burn::{
    module::{Module, ModuleMapper, Param},
    prelude::*,
    tensor::Distribution,
};
use wan_model::{VaeConfig, VaeDecoder};

fn main() -> io::Result<()> {
    let sizes: Vec<usize> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let [frames, height, width] = sizes.try_into().unwrap_or([2, 32, 32]);
    let device = Device::flex();
    device.seed(1);
    let config = VaeConfig::wan_2_1();
    let decoder = VaeDecoder::new(&config, &device).map(&mut RandomWeights);
    let shape = [1, config.z_dim, frames, height, width];
    let latents = Tensor::<5>::random(shape, Distribution::Normal(0.0, 1.0), &device);
    let mut out = io::stdout();
    let start = Instant::now();
    for chunk in decoder.stream(latents) {
        let shape = chunk.dims();
        let mean = chunk.abs().mean().into_scalar::<f32>();
        writeln!(out, "{shape:?} after {:.2} s, mean magnitude {mean:.3}", start.elapsed().as_secs_f64())?;
    }
    let peak = peak_bytes().map_or_else(|| "unknown".to_owned(), |bytes| format!("{} MiB", bytes >> 20));
    writeln!(out, "total {:.2} s, peak memory {peak}", start.elapsed().as_secs_f64())
}

/// Matrices scaled by their fan-in, vectors around one: activations stay in range.
struct RandomWeights;

impl ModuleMapper for RandomWeights {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, device, shape) = (param.id, param.lazy_device(), param.lazy_shape());
        let fan_in: usize = shape.to_vec()[1..].iter().product();
        let (mean, deviation) = if D == 1 { (0.5, 0.1) } else { (0.0, (fan_in as f64).sqrt().recip()) };
        let tensor = Tensor::random(shape, Distribution::Normal(mean, deviation), &device);
        param.transform_for_load(tensor, id)
    }
}

/// Peak resident memory of this process, where the system tells it.
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib << 10)
}
