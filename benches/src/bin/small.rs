//! `small [--network dit|vae] [--device cpu|wgpu] [--width N] [--layers N] [--latent F,H,W] [--runs N]`: the first and
//! later calls of a small network on random weights and its error against burn-ndarray, as JSON on stdout.

use burn::{
    prelude::*,
    tensor::{Distribution, TensorData},
};
use wan_benches::{
    argument, device_argument, fill, latent_argument, peak_memory_bytes, processor_seconds, relative_l2, time,
};
use wan_model::{VaeConfig, VaeDecoder, WanConfig, WanTransformer};

/// What a run leaves behind. Processor time is that of all threads, a software adapter's included.
#[derive(serde::Serialize)]
struct Small {
    network: String,
    device: String,
    /// With the compilation of kernels.
    first: Cost,
    runs: Vec<Cost>,
    peak_memory_bytes: Option<u64>,
    /// `||y - y'|| / ||y'||` against burn-ndarray.
    relative_error: f64,
}

/// Of one call.
#[derive(serde::Serialize)]
struct Cost {
    seconds: f64,
    processor_seconds: Option<f64>,
}

/// Computes the network's result once more at each call.
type Network = Box<dyn FnMut() -> Vec<f32>>;

fn main() {
    let (device_name, device) = device_argument();
    let network = argument("--network", "dit".to_owned());
    let make = if network == "vae" { vae } else { dit };
    let mut run = make(&device);
    let first = cost(&mut run);
    let runs = (0..argument("--runs", 5)).map(|_| cost(&mut run)).collect();
    // Before the reference takes memory of its own.
    let peak_memory_bytes = peak_memory_bytes();
    let relative_error = relative_l2(&run(), &make(&reference_device())());
    print(&Small { network, device: device_name, first, runs, peak_memory_bytes, relative_error });
}

fn cost(run: &mut Network) -> Cost {
    let before = processor_seconds();
    let seconds = time(1, || drop(run()))[0];
    let processor_seconds = processor_seconds().zip(before).map(|(after, before)| after - before);
    Cost { seconds, processor_seconds }
}

fn dit(device: &Device) -> Network {
    let width: usize = argument("--width", 256);
    let config = WanConfig {
        dim: width,
        ffn_dim: 4 * width,
        heads: width / 64,
        layers: argument("--layers", 4),
        text_dim: 64,
        text_len: 64,
        ..WanConfig::t2v_1_3b()
    };
    let model = fill(WanTransformer::new(&config, device));
    let context = model.embed_text(random([1, 20, config.text_dim], device));
    let [f, h, w] = latent_argument();
    let x = random([1, config.in_dim, f, h, w], device);
    let rope = model.rope([f, h, w], device);
    Box::new(move || values(model.forward(x.clone(), 500.0, &context, &rope)))
}

fn vae(device: &Device) -> Network {
    let config = VaeConfig { base_dim: argument("--width", 16), ..VaeConfig::wan_2_1() };
    let decoder = fill(VaeDecoder::new(&config, device));
    let [f, h, w] = latent_argument();
    let latents = random([1, config.z_dim, f, h, w], device);
    Box::new(move || decoder.stream(latents.clone()).flat_map(values).collect())
}

/// The same values for every device.
fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    let host = Device::flex();
    host.seed(7);
    let data: TensorData = Tensor::<D>::random(shape, Distribution::Normal(0.0, 1.0), &host).into_data();
    Tensor::from_data(data, device)
}

fn values<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().convert::<f32>().try_into_vec().expect("f32 after the conversion")
}

#[expect(deprecated, reason = "burn-ndarray goes with Burn 0.23; until then it is the reference")]
fn reference_device() -> Device {
    Device::ndarray()
}

#[expect(clippy::print_stdout, reason = "a measurement's result is its output")]
fn print(result: &Small) {
    println!("{}", serde_json::to_string(result).unwrap_or_default());
}
