//! `peer --what forward|decode|encode|text --model DIR --data DIR [--latent F,H,W] [--rows N] [--device cpu|wgpu]
//! [--offload none|block]`: one network of a checkpoint beside another program's, for `benches/peers/compare.py`. With
//! `--offload block` a transformer's blocks are read out of their file in every pass, as far as that is on the CPU.
//!
//! Inputs are `x.bin` and, of a forward pass, `text.bin` in the data folder, f32 in row-major order. Each line on stdin
//! is answered by one run and its cost, one JSON object a line; at the end the last result is written to `ours.bin`.

use std::{
    error::Error,
    fs,
    io::{self, BufRead, Write},
    path::{Path, PathBuf},
};

use burn::prelude::*;
use wan_benches::{argument, device_argument, latent_argument, peak_memory_bytes, processor_seconds, time};
use wan_import::{Checkpoint, DtypePolicy, Source};
use wan_model::VaeConfig;
use wan_pipeline::stream_pages;

/// Of one run.
#[derive(serde::Serialize)]
struct Cost {
    seconds: f64,
    processor_seconds: Option<f64>,
    peak_memory_bytes: Option<u64>,
    /// Of those, what belongs to no file.
    anonymous_memory_bytes: Option<u64>,
}

/// Computes the result once more at each call.
type Work = Box<dyn FnMut() -> Vec<f32>>;

fn main() -> Result<(), Box<dyn Error>> {
    let (_, device) = device_argument();
    let data = PathBuf::from(argument("--data", ".".to_owned()));
    let source = Source { model: Some(argument::<PathBuf>("--model", ".".into())), ..Source::default() };
    let checkpoint = Checkpoint::open(&source)?;
    let mut work = match &*argument("--what", "forward".to_owned()) {
        "decode" => decode(&checkpoint, &data, &device)?,
        "encode" => encode(&checkpoint, &data, &device)?,
        "text" => text(&checkpoint, &data, &device)?,
        _ => forward(&checkpoint, &data, &device)?,
    };
    let mut last = Vec::new();
    for line in io::stdin().lock().lines() {
        line?;
        let start = processor_seconds();
        let seconds = time(1, || last = work())[0];
        let processor_seconds = processor_seconds().zip(start).map(|(end, start)| end - start);
        let (peak_memory_bytes, anonymous_memory_bytes) = (peak_memory_bytes(), anonymous_memory_bytes());
        say(&Cost { seconds, processor_seconds, peak_memory_bytes, anonymous_memory_bytes })?;
    }
    Ok(fs::write(
        data.join("ours.bin"),
        last.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>(),
    )?)
}

#[expect(clippy::print_stdout, reason = "a measurement's result is its output")]
fn say(cost: &Cost) -> io::Result<()> {
    println!("{}", serde_json::to_string(cost).unwrap_or_default());
    io::stdout().flush()
}

/// Resident memory that belongs to no file, now; Linux only.
fn anonymous_memory_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

fn tensor<const D: usize>(path: &Path, shape: [usize; D], device: &Device) -> io::Result<Tensor<D>> {
    let bytes = fs::read(path)?;
    let values: Vec<f32> = bytes.as_chunks().0.iter().map(|&four| f32::from_le_bytes(four)).collect();
    if values.len() != shape.iter().product::<usize>() {
        let what = format!("{} has {} values, not those of {shape:?}", path.display(), values.len());
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    Ok(Tensor::from_data(TensorData::new(values, shape), device))
}

fn host(result: Tensor<5>) -> Vec<f32> {
    result.into_data().convert::<f32>().try_into_vec().unwrap_or_default()
}

/// A forward pass, the prompt's keys and values kept after the first.
fn forward(checkpoint: &Checkpoint, data: &Path, device: &Device) -> Result<Work, Box<dyn Error>> {
    let streamed = argument("--offload", "none".to_owned()) == "block";
    let policy = DtypePolicy { streamed, ..DtypePolicy::F32 };
    let model = checkpoint.load_transformer(&policy, device)?;
    let model = match streamed {
        true => model.watched_by(stream_pages(checkpoint.expert(false), &checkpoint.dit_config)?),
        false => model,
    };
    let ([f, h, w], config) = (latent_argument(), model.config());
    let x = tensor(&data.join("x.bin"), [1, config.in_dim, f, h, w], device)?;
    let text = tensor(&data.join("text.bin"), [1, argument("--rows", 20), config.text_dim], device)?;
    let (text, rope) = (model.embed_text(text), model.rope([f, h, w], device));
    Ok(Box::new(move || host(model.forward(x.clone(), 500.0, &text, &rope))))
}

fn decode(checkpoint: &Checkpoint, data: &Path, device: &Device) -> Result<Work, Box<dyn Error>> {
    let decoder = checkpoint.load_vae_decoder(device)?;
    let [f, h, w] = latent_argument();
    let latents = tensor(&data.join("x.bin"), [1, checkpoint.vae_config.z_dim, f, h, w], device)?;
    Ok(Box::new(move || host(Tensor::cat(decoder.stream(latents.clone()).collect(), 2))))
}

fn encode(checkpoint: &Checkpoint, data: &Path, device: &Device) -> Result<Work, Box<dyn Error>> {
    let encoder = checkpoint.load_vae_encoder(device)?;
    let config: &VaeConfig = &checkpoint.vae_config;
    let ([f, h, w], factor) = (latent_argument(), config.spatial_factor());
    let video = tensor(&data.join("x.bin"), [1, 3, config.frames(f), factor * h, factor * w], device)?;
    Ok(Box::new(move || host(encoder.encode(video.clone()))))
}

/// All layers of the text encoder, loaded once.
fn text(checkpoint: &Checkpoint, data: &Path, device: &Device) -> Result<Work, Box<dyn Error>> {
    let layers = checkpoint.text_layers(device)?;
    let config = layers.config().clone();
    let blocks = (0..config.layers).map(|index| layers.block(index)).collect::<Result<Vec<_>, _>>()?;
    let norm = layers.norm()?;
    let rows = argument("--rows", 512);
    let x = tensor(&data.join("x.bin"), [1, rows, config.d_model], device)?;
    let positions = wan_model::text::PositionBuckets::new(rows, &config, device);
    Ok(Box::new(move || {
        let x = blocks.iter().fold(x.clone(), |x, block| block.forward(x, &positions));
        host(norm.forward(x).unsqueeze())
    }))
}
