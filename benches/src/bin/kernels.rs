//! `kernels [--device cpu|wgpu] [--runs N]`: the fused operations at the sizes of T2V-1.3B, each beside its plain
//! reference, as JSON lines on stdout.

use burn::{
    prelude::*,
    tensor::{DType, Distribution},
};
use wan_benches::{argument, device_argument, time};
use wan_kernels::{
    GuidanceStep, RopeTable, gate_residual, gelu_bias, guidance_step, norm_modulate, reference, rms_norm,
    rms_norm_rope, silu,
};

const TOKENS: usize = 4_096;
const WIDTH: usize = 1_536;
const HEADS: usize = 12;
const HIDDEN: [usize; 3] = [1, 1_024, 8_960];
const EPS: f64 = 1e-6;

/// One operation, fused and in parts.
#[derive(serde::Serialize)]
struct Row {
    what: &'static str,
    device: String,
    machine: Option<String>,
    commit: Option<String>,
    shape: Vec<usize>,
    median_seconds: f64,
    /// Of what must be read and written at least once.
    gigabytes_per_second: f64,
    reference_seconds: f64,
    faster_than_reference: f64,
}

struct Bench {
    name: String,
    device: Device,
    runs: usize,
}

impl Bench {
    fn random<const D: usize>(&self, shape: [usize; D]) -> Tensor<D> {
        Tensor::random(shape, Distribution::Normal(0.0, 1.0), &self.device)
    }

    /// Median seconds of a call that includes waiting for the device, after one call to warm up.
    fn median<const D: usize>(&self, mut operation: impl FnMut() -> Tensor<D>) -> f64 {
        let mut seconds = time(self.runs + 1, || {
            let y = operation();
            assert!(self.device.sync().is_ok(), "the device failed");
            drop(y);
        });
        seconds.remove(0);
        seconds.sort_by(f64::total_cmp);
        seconds[seconds.len() / 2]
    }

    /// `tensors`: how many of `shape` in f32 are read or written at least once.
    #[expect(clippy::print_stdout, reason = "a measurement's result is its output")]
    fn row<const D: usize>(
        &self,
        what: &'static str,
        (shape, tensors): (&[usize], usize),
        fused: impl FnMut() -> Tensor<D>,
        plain: impl FnMut() -> Tensor<D>,
    ) {
        let (median_seconds, reference_seconds) = (self.median(fused), self.median(plain));
        let bytes = (shape.iter().product::<usize>() * tensors * size_of::<f32>()) as f64;
        let [machine, commit] = ["WAN_MACHINE", "WAN_COMMIT"].map(|name| std::env::var(name).ok());
        let row = Row {
            what,
            device: self.name.clone(),
            machine,
            commit,
            shape: shape.to_vec(),
            median_seconds,
            gigabytes_per_second: bytes / median_seconds / 1e9,
            reference_seconds,
            faster_than_reference: reference_seconds / median_seconds,
        };
        println!("{}", serde_json::to_string(&row).unwrap_or_default());
    }

    fn norms(&self) {
        let shape = [1, TOKENS, WIDTH];
        let (x, weight) = (self.random(shape), self.random([WIDTH]));
        let (scale, shift) = (self.random([1, 1, WIDTH]), self.random([1, 1, WIDTH]));
        self.row(
            "norm_modulate",
            (&shape, 2),
            || norm_modulate(x.clone(), scale.clone(), shift.clone(), EPS),
            || reference::norm_modulate(x.clone(), scale.clone(), shift.clone(), EPS),
        );
        self.row(
            "rms_norm",
            (&shape, 2),
            || rms_norm(x.clone(), weight.clone(), EPS),
            || reference::rms_norm(x.clone(), weight.clone(), EPS),
        );
        let table = RopeTable::new([4, 32, 32], WIDTH / HEADS, &self.device);
        let head = |norm: fn(_, _, _, _, _, _) -> Tensor<4>| {
            norm(x.clone(), weight.clone(), Some(&table), HEADS, EPS, DType::F32)
        };
        // The layout is part of the work: a view would leave it to whoever reads it.
        let parts = || head(reference::rms_norm_rope) * 1.0;
        self.row("rms_norm_rope", (&shape, 2), || head(rms_norm_rope), parts);
    }

    fn branches(&self) {
        let shape = [1, TOKENS, WIDTH];
        let (x, y, gate) = (self.random(shape), self.random(shape), self.random([1, 1, WIDTH]));
        self.row(
            "gate_residual",
            (&shape, 3),
            || gate_residual(x.clone(), y.clone(), gate.clone()),
            || reference::gate_residual(x.clone(), y.clone(), gate.clone()),
        );
    }

    fn activations(&self) {
        let (x, bias) = (self.random(HIDDEN), self.random([HIDDEN[2]]));
        let plain = || reference::gelu_bias(x.clone(), bias.clone());
        self.row("gelu_bias", (&HIDDEN, 2), || gelu_bias(x.clone(), bias.clone()), plain);
        // As in a network, where the product before it belongs to nobody else.
        let mut own = Some(x.clone() * 1.0);
        let in_place = || {
            let y = gelu_bias(own.take().unwrap_or_else(|| x.clone()), bias.clone());
            own = Some(y.clone());
            y
        };
        self.row("gelu_bias in place", (&HIDDEN, 2), in_place, plain);
        self.row("silu", (&HIDDEN, 2), || silu(x.clone()), || reference::silu(x.clone()));
    }

    fn guidance(&self) {
        let shape = [1, 16, 21, 60, 104];
        let [x, cond, uncond] = [(); 3].map(|()| self.random([16, 21, 60 * 104]).reshape(shape));
        let step = GuidanceStep { scale: 5.0, keep: 1.0, flow: -0.02 };
        let with = |run: fn(_, _, _, _) -> Tensor<5>| run(x.clone(), cond.clone(), uncond.clone(), step);
        self.row("guidance_step", (&shape, 4), || with(guidance_step), || with(reference::guidance_step));
    }
}

fn main() {
    let (name, device) = device_argument();
    let bench = Bench { name, device, runs: argument("--runs", 20) };
    bench.norms();
    bench.branches();
    bench.activations();
    bench.guidance();
}
