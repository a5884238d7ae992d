//! The transformer against PyTorch.

use burn::{
    module::{Module, ModuleMapper, Param},
    prelude::*,
    tensor::DType,
};
use testkit::{Golden, TestDevice, Tolerance, assert_close, devices, relative_l2, report_skip};
use wan_model::{WanConfig, WanTransformer};

fn config(
    heads: usize,
    head_dim: usize,
    ffn_dim: usize,
    layers: usize,
    channels: usize,
    text_dim: usize,
) -> WanConfig {
    WanConfig {
        dim: heads * head_dim,
        ffn_dim,
        heads,
        layers,
        in_dim: channels,
        out_dim: channels,
        text_dim,
        ..WanConfig::t2v_1_3b()
    }
}

fn check(golden: &Golden, config: &WanConfig, case: &str, device: &TestDevice) -> Tensor<5> {
    let model = golden.fill("w.", WanTransformer::new(config, &device.device));
    forward(golden, &model, case, device)
}

fn forward(
    golden: &Golden,
    model: &WanTransformer,
    case: &str,
    TestDevice { name, device, .. }: &TestDevice,
) -> Tensor<5> {
    let x = golden.tensor::<5>(&format!("{case}.x"), device);
    let [_, _, f, h, w] = x.dims();
    let context = model.embed_text(golden.tensor(&format!("{case}.text"), device));
    let timestep = f64::from(golden.get(&format!("{case}.t")).1[0]);
    let y = model.forward(x, timestep, &context, &model.rope([f, h, w], device));
    assert!(y.dims()[2..] == [f, h, w], "{name}");
    y
}

#[test]
fn small_network() {
    let golden = Golden::load("dit_small");
    let config = config(2, 16, 48, 2, 4, 24);
    for device in &devices() {
        for case in ["square", "odd", "frame"] {
            let y = check(&golden, &config, case, device);
            let expected = golden.get(&format!("{case}.y"));
            assert_close(&format!("{} {case}", device.name), y, expected, Tolerance::module(device));
        }
    }
}

#[test]
fn uneven_head_split_and_channels() {
    let golden = Golden::load("dit_wide");
    let config = config(3, 22, 80, 1, 5, 20);
    for device in &devices() {
        let y = check(&golden, &config, "odd", device);
        assert_close(device.name, y, golden.get("odd.y"), Tolerance::module(device));
    }
}

#[test]
fn half_precision_weights() {
    let golden = Golden::load("dit_small");
    let config = config(2, 16, 48, 2, 4, 24);
    // The reference backend has no f16.
    for device in devices().iter().filter(|device| device.name != "ndarray") {
        if !device.device.supports_dtype(DType::F16) {
            report_skip(device.name, "no f16");
            continue;
        }
        let mut to_f16 = ToF16::default();
        let model = golden.fill("w.", WanTransformer::new(&config, &device.device)).map(&mut to_f16);
        // Text embedding, then two attentions and a feed-forward in each block.
        assert_eq!(to_f16.cast, 2 + 2 * (4 + 4 + 2));
        let y = forward(&golden, &model, "odd", device);
        let expected = golden.get("odd.y");
        let values = y.clone().into_data().try_into_vec::<f32>().expect("f32");
        assert!(relative_l2(&values, expected.1) > Tolerance::MODULE_GPU.0, "{}: not in f16", device.name);
        assert_close(device.name, y, expected, Tolerance::MODULE_F16);
    }
}

/// Text rows short of the model's length and the same rows with zeros after them are one text.
#[test]
fn padding_is_rows_of_zeros() {
    let (golden, device) = (Golden::load("dit_small"), Device::flex());
    let model = golden.fill("w.", WanTransformer::new(&config(2, 16, 48, 2, 4, 24), &device));
    let text = golden.tensor::<3>("odd.text", &device);
    let x = golden.tensor::<5>("odd.x", &device);
    let [_, _, f, h, w] = x.dims();
    let flow = |text: Tensor<3>| {
        let y = model.forward(x.clone(), 500.0, &model.embed_text(text), &model.rope([f, h, w], &device));
        y.into_data().try_into_vec::<f32>().expect("f32")
    };
    let short = flow(text.clone());
    for zeros in [1, 100, 512 - text.dims()[1]] {
        let padded = Tensor::cat(vec![text.clone(), Tensor::zeros([1, zeros, 24], &device)], 1);
        let error = relative_l2(&flow(padded), &short);
        // The sum of some hundred equal weights, or one of them times their number.
        assert!(error < 3e-6, "{zeros} rows of zeros: {error:.2e}");
    }
    assert_eq!(model.embed_text(text.clone()).rows().dims(), [1, text.dims()[1] + 1, 32]);
}

/// Casts what a loader would: weights of linear layers, outside the parts that every block depends on.
#[derive(Default)]
struct ToF16 {
    /// Names and container types down to the current module.
    place: Vec<(String, String)>,
    cast: usize,
}

impl ModuleMapper for ToF16 {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.place.push((name.to_owned(), container_type.to_owned()));
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.place.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let high = ["time_embedding", "time_projection", "head", "patch_embedding"];
        let weight = self.place.iter().any(|(name, kind)| name == "weight" && kind == "Struct:Linear");
        if !weight || high.contains(&self.place[0].0.as_str()) {
            return param;
        }
        self.cast += 1;
        param.map(|tensor| tensor.cast(DType::F16))
    }
}
