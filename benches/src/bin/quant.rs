//! `quant [--device cpu|wgpu] [--runs N] [--sizes m,k,n;...]`: products with weights of eight and four bits, each beside
//! the product of the same size in f32, as JSON lines on stdout. All take turns, so that other work on the machine bears
//! on all of them.

use burn::{
    prelude::*,
    tensor::{DType, Distribution},
};
use wan_benches::{argument, device_argument, processor_seconds, time};
use wan_kernels::{QuantizedMatrix, nest, quantize_int8, quantize_nf4};

/// Rows of activations, and the widths of layers of the 1.3B and 14B models.
const ROWS: [usize; 3] = [1, 16, 512];
const LAYERS: [[usize; 2]; 4] = [[1_536, 1_536], [1_536, 8_960], [5_120, 5_120], [5_120, 13_824]];

#[derive(serde::Serialize)]
struct Row {
    form: &'static str,
    /// m, k and n.
    size: [usize; 3],
    device: String,
    machine: Option<String>,
    commit: Option<String>,
    bytes_per_value: f64,
    best_seconds: f64,
    gflop_per_second: f64,
    processor_seconds: Option<f64>,
    /// Best seconds of the product in f32 over these.
    speed_of_f32: f64,
    /// The same of processor time.
    processor_speed_of_f32: Option<f64>,
}

/// A product, and what was spent on it so far.
struct Contender<'a> {
    form: &'static str,
    bytes_per_value: f64,
    product: Box<dyn Fn() -> Tensor<2> + 'a>,
    best: f64,
    spent: f64,
}

impl<'a> Contender<'a> {
    fn new(form: &'static str, bytes_per_value: f64, product: impl Fn() -> Tensor<2> + 'a) -> Self {
        Self { form, bytes_per_value, product: Box::new(product), best: f64::MAX, spent: 0.0 }
    }

    fn run(&mut self, device: &Device, counts: bool) {
        let start = processor_seconds();
        let seconds = time(1, || {
            drop((self.product)());
            assert!(device.sync().is_ok(), "the device failed");
        })[0];
        if counts {
            self.best = self.best.min(seconds);
            self.spent += processor_seconds().zip(start).map_or(0.0, |(end, start)| end - start);
        }
    }
}

/// Those of one weight `[n, k]`.
fn weights(n: usize, k: usize, device: &Device) -> Vec<(&'static str, QuantizedMatrix)> {
    let random = Tensor::<1>::random([n * k], Distribution::Normal(0.0, 0.02), &Device::flex());
    let values = random.into_data().try_into_vec::<f32>().expect("f32");
    let int8 = |block| quantize_int8(&values, n, k, block).expect("it fits").on(DType::F32, device);
    let nf4 = quantize_nf4(&values, n, k).expect("it fits");
    vec![
        ("int8 by row", int8(k)),
        ("int8 by block", int8(64)),
        ("nf4", nf4.on(DType::F32, device)),
        ("nf4 nested", nf4.nested_on(&nest(&nf4.absmax), device)),
    ]
}

fn rows(weights: &[(&'static str, QuantizedMatrix)], m: usize, name: &str, device: &Device) -> Vec<Row> {
    let [n, k] = weights[0].1.dims();
    let runs = argument("--runs", 10);
    let x = Tensor::<2>::random([m, k], Distribution::Normal(0.0, 1.0), device);
    let dense = Tensor::<2>::random([n, k], Distribution::Normal(0.0, 0.02), device);
    let quantized = weights.iter().map(|(form, weight)| {
        let bytes = weight.bytes() as f64 / (n * k) as f64;
        Contender::new(form, bytes, || weight.matmul(x.clone()))
    });
    let plain = Contender::new("f32", 4.0, || x.clone().matmul(dense.clone().transpose()));
    let mut all: Vec<_> = [plain].into_iter().chain(quantized).collect();
    for run in 0..=runs {
        all.iter_mut().for_each(|contender| contender.run(device, run > 0));
    }
    let [machine, commit] = ["WAN_MACHINE", "WAN_COMMIT"].map(|name| std::env::var(name).ok());
    let row = |contender: &Contender<'_>| Row {
        form: contender.form,
        size: [m, k, n],
        device: name.to_owned(),
        machine: machine.clone(),
        commit: commit.clone(),
        bytes_per_value: contender.bytes_per_value,
        best_seconds: contender.best,
        gflop_per_second: 2e-9 * (m * n * k) as f64 / contender.best,
        processor_seconds: (contender.spent > 0.0).then(|| contender.spent / runs as f64),
        speed_of_f32: all[0].best / contender.best,
        processor_speed_of_f32: (contender.spent > 0.0).then(|| all[0].spent / contender.spent),
    };
    all.iter().map(row).collect()
}

/// `--sizes`, or every layer with all its rows.
fn sizes() -> Vec<[usize; 3]> {
    let given: String = argument("--sizes", String::new());
    let size =
        |text: &str| text.split(',').filter_map(|n| n.parse().ok()).collect::<Vec<_>>().try_into().ok();
    let given: Vec<_> = given.split(';').filter_map(size).collect();
    let all = LAYERS.into_iter().flat_map(|[k, n]| ROWS.map(|m| [m, k, n]));
    if given.is_empty() { all.collect() } else { given }
}

#[expect(clippy::print_stdout, reason = "a measurement's result is its output")]
fn main() {
    let (name, device) = device_argument();
    for [m, k, n] in sizes() {
        for row in rows(&weights(n, k, &device), m, &name, &device) {
            println!("{}", serde_json::to_string(&row).unwrap_or_default());
        }
    }
}
