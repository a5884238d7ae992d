//! `conv3d [--device cpu|wgpu] [--runs N]`: the convolutions of the video VAE at the sizes of 480x832, each beside its
//! plain reference, as JSON lines on stdout.

use burn::{prelude::*, tensor::Distribution};
use wan_benches::{argument, device_argument, processor_seconds, time};
use wan_kernels::{Conv3dOptions, conv3d, reference};

/// One layer.
struct Layer {
    what: &'static str,
    inputs: usize,
    outputs: usize,
    size: [usize; 3],
    kernel: [usize; 3],
    stride: [usize; 3],
    padding: [(usize, usize); 3],
}

const SAME: [(usize, usize); 3] = [(2, 0), (1, 1), (1, 1)];

const LAYERS: [Layer; 5] = [
    Layer::causal("96 channels, 4x60x104, 3x3x3", 96, [4, 60, 104]),
    Layer::causal("192 channels, 4x60x104, 3x3x3", 192, [4, 60, 104]),
    Layer::causal("384 channels, 1x60x104, 3x3x3", 384, [1, 60, 104]),
    Layer {
        kernel: [3, 1, 1],
        padding: [(2, 0), (0, 0), (0, 0)],
        outputs: 768,
        ..Layer::causal("384 to 768 channels, 1x60x104, 3x1x1", 384, [1, 60, 104])
    },
    Layer {
        kernel: [1, 3, 3],
        stride: [1, 2, 2],
        padding: [(0, 0), (0, 1), (0, 1)],
        ..Layer::causal("96 channels, 4x120x208, 1x3x3 in steps of 2", 96, [4, 120, 208])
    },
];

impl Layer {
    const fn causal(what: &'static str, channels: usize, size: [usize; 3]) -> Self {
        let (kernel, stride) = ([3; 3], [1; 3]);
        Self { what, inputs: channels, outputs: channels, size, kernel, stride, padding: SAME }
    }
}

#[derive(serde::Serialize)]
struct Row {
    what: &'static str,
    device: String,
    machine: Option<String>,
    commit: Option<String>,
    threads: Option<String>,
    best_seconds: f64,
    /// Two operations for each tap of each output, however they are computed.
    direct_gflop_per_second: f64,
    processor_seconds: Option<f64>,
    reference_seconds: f64,
    reference_processor_seconds: Option<f64>,
    faster_than_reference: f64,
}

/// The best wall clock of `runs` calls after a first, and the mean processor time.
fn measure(device: &Device, runs: usize, mut operation: impl FnMut() -> Tensor<5>) -> (f64, Option<f64>) {
    let mut once = || {
        drop(operation());
        assert!(device.sync().is_ok(), "the device failed");
    };
    once();
    let start = processor_seconds();
    let best = time(runs, once).into_iter().fold(f64::MAX, f64::min);
    let spent = processor_seconds().zip(start).map(|(end, start)| (end - start) / runs as f64);
    (best, spent)
}

fn row(layer: &Layer, name: &str, device: &Device, runs: usize) -> Row {
    let random = |shape: [usize; 5]| Tensor::<5>::random(shape, Distribution::Normal(0.0, 1.0), device);
    let ([t, h, w], [k_t, k_h, k_w]) = (layer.size, layer.kernel);
    let x = random([1, layer.inputs, t, h, w]);
    let weight = random([layer.outputs, layer.inputs, k_t, k_h, k_w]);
    let bias = Tensor::<1>::random([layer.outputs], Distribution::Normal(0.0, 1.0), device);
    let history = (k_t > 1).then(|| random([1, layer.inputs, k_t - 1, h, w]));
    let options = Conv3dOptions { stride: layer.stride, padding: layer.padding };
    let with = |conv: fn(_, _, _, _, _) -> Tensor<5>| {
        conv(x.clone(), weight.clone(), Some(bias.clone()), history.clone(), options)
    };
    let outputs = with(conv3d).shape().num_elements();
    let gflop = 2e-9 * (outputs * layer.inputs * k_t * k_h * k_w) as f64;
    let (best_seconds, processor_seconds) = measure(device, runs, || with(conv3d));
    let (reference_seconds, reference_processor_seconds) = measure(device, runs, || with(reference::conv3d));
    let [machine, commit, threads] =
        ["WAN_MACHINE", "WAN_COMMIT", "RAYON_NUM_THREADS"].map(|name| std::env::var(name).ok());
    Row {
        what: layer.what,
        device: name.to_owned(),
        machine,
        commit,
        threads,
        best_seconds,
        direct_gflop_per_second: gflop / best_seconds,
        processor_seconds,
        reference_seconds,
        reference_processor_seconds,
        faster_than_reference: reference_seconds / best_seconds,
    }
}

#[expect(clippy::print_stdout, reason = "a measurement's result is its output")]
fn main() {
    let (name, device) = device_argument();
    let runs = argument("--runs", 10);
    for layer in &LAYERS {
        println!("{}", serde_json::to_string(&row(layer, &name, &device, runs)).unwrap_or_default());
    }
}
