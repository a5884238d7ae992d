//! The transformer against PyTorch.

use burn::prelude::*;
use testkit::{Golden, TestDevice, Tolerance, assert_close, devices};
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

fn check(
    golden: &Golden,
    config: &WanConfig,
    case: &str,
    TestDevice { name, device, .. }: &TestDevice,
) -> Tensor<5> {
    let model = golden.fill("w.", WanTransformer::new(config, device));
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
