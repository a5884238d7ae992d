//! `vae [--encode stills|video] [--half 1] [--piece MIB] [--device cpu|wgpu] [--latent F,H,W] [--runs N]`: a full-size
//! Wan 2.1 decode, or encode, on random weights, as JSON on stdout.
//!
//! What is encoded is a video of noise, or two pictures with grey frames between them, as image to video needs it.

use burn::{prelude::*, tensor::Distribution};
use wan_benches::{
    Measurement, argument, device_argument, fill, latent_argument, peak_memory_bytes, processor_seconds, time,
};
use wan_model::{VaeConfig, VaeDecoder, VaeEncoder, VaeMemory};

/// A measurement and the processor time of all its runs.
#[derive(serde::Serialize)]
struct Row {
    #[serde(flatten)]
    measurement: Measurement,
    memory: String,
    processor_seconds: Option<f64>,
    /// Before the first run.
    idle_memory_bytes: Option<u64>,
}

fn main() {
    let (name, device) = device_argument();
    let encode: String = argument("--encode", String::new());
    let memory = VaeMemory {
        piece_bytes: argument("--piece", VaeMemory::default().piece_bytes >> 20) << 20,
        half: argument("--half", 0) == 1,
        tiling: None,
    };
    let config = VaeConfig::wan_2_1();
    let latent = latent_argument();
    let frames = config.frames(latent[0]);
    let [height, width] = [latent[1], latent[2]].map(|side| side * config.spatial_factor());
    let mut work: Box<dyn FnMut()> = match &*encode {
        "" => decoding(&config, latent, memory, &device),
        _ => encoding(&config, [frames, height, width], &encode == "stills", memory, &device),
    };
    let idle_memory_bytes = peak_memory_bytes();
    let start = processor_seconds();
    let seconds = time(argument("--runs", 1), &mut work);
    let processor_seconds = processor_seconds().zip(start).map(|(end, start)| end - start);
    let what = format!("Wan 2.1 VAE {}, f32", if encode.is_empty() { "decode" } else { "encode" });
    let measurement = Measurement::new(what, name, frames * height * width, seconds, None);
    print(&Row { measurement, memory: format!("{encode} {memory:?}"), processor_seconds, idle_memory_bytes });
}

fn decoding(
    config: &VaeConfig,
    [f, h, w]: [usize; 3],
    memory: VaeMemory,
    device: &Device,
) -> Box<dyn FnMut()> {
    let decoder = fill(VaeDecoder::new(config, device)).with_memory(memory);
    let latents = noise([config.z_dim, f, h, w], device);
    Box::new(move || decoder.stream(latents.clone()).for_each(|video| check(video, 1.0)))
}

fn encoding(
    config: &VaeConfig,
    [frames, height, width]: [usize; 3],
    stills: bool,
    memory: VaeMemory,
    device: &Device,
) -> Box<dyn FnMut()> {
    let encoder = fill(VaeEncoder::new(config, device)).with_memory(memory);
    let (factor, latent_frames) = (config.temporal_factor(), config.latent_frames(frames));
    let chunk = noise([3, factor, height, width], device).clamp(-1.0, 1.0);
    Box::new(move || {
        let first = chunk.clone().slice_dim(2, 0..1);
        let checked = |latent| check(latent, f32::MAX);
        if stills {
            encoder.encode_stills(first.clone(), Some(first), latent_frames).for_each(checked);
        } else {
            let rest = std::iter::repeat_n(chunk.clone(), latent_frames - 1);
            encoder.encode_stream([first].into_iter().chain(rest)).for_each(checked);
        }
    })
}

fn noise([c, t, h, w]: [usize; 4], device: &Device) -> Tensor<5> {
    Tensor::<3>::random([c * t, h, w], Distribution::Normal(0.0, 1.0), device).reshape([1, c, t, h, w])
}

/// Waits for the result.
fn check(result: Tensor<5>, most: f32) {
    let mean = result.abs().mean().into_scalar::<f32>();
    assert!(mean > 0.0 && mean < most, "the result is flat or saturated: {mean}");
}

#[expect(clippy::print_stdout, reason = "a measurement's result is its output")]
fn print(row: &Row) {
    println!("{}", serde_json::to_string_pretty(row).unwrap_or_default());
}
