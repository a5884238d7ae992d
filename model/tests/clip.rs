//! The CLIP image encoder against transformers' `CLIPVisionModel`.
#![allow(clippy::unwrap_used)]

use testkit::{Golden, TestDevice, Tolerance, assert_close, devices};
use wan_model::{ClipActivation, ClipVision, ClipVisionConfig};

fn config(activation: ClipActivation, fused_qkv: bool) -> ClipVisionConfig {
    ClipVisionConfig {
        image_size: 28,
        patch: 14,
        width: 32,
        heads: 2,
        layers: 3,
        mlp: 48,
        eps: 1e-5,
        activation,
        fused_qkv,
    }
}

fn check(golden: &Golden, device: &TestDevice, config: &ClipVisionConfig, key: &str) {
    let prefix = if config.fused_qkv { "fused." } else { "split." };
    let encoder = golden.fill(prefix, ClipVision::new(config, &device.device));
    assert_close(
        &format!("{key}, {prefix} on {}", device.name),
        encoder.forward(golden.tensor("small", &device.device)),
        golden.get(key),
        Tolerance::module(device),
    );
}

#[test]
fn encoder_matches_transformers() {
    let golden = Golden::load("clip");
    for device in devices() {
        for fused in [false, true] {
            check(&golden, &device, &config(ClipActivation::Gelu, fused), "gelu");
        }
        check(&golden, &device, &config(ClipActivation::QuickGelu, false), "quick_gelu");
    }
}

/// A frame's states do not depend on what else is encoded with it.
#[test]
fn pictures_of_a_batch_are_apart() {
    let golden = Golden::load("clip");
    for device in devices() {
        let encoder =
            golden.fill("fused.", ClipVision::new(&config(ClipActivation::Gelu, true), &device.device));
        let (shape, expected) = golden.get("gelu");
        let states = encoder.forward(golden.tensor::<4>("small", &device.device).narrow(0, 1, 1));
        assert_close(
            &format!("second picture on {}", device.name),
            states,
            (&[1, shape[1], shape[2]], &expected[expected.len() / 2..]),
            Tolerance::module(&device),
        );
    }
}

#[test]
fn the_released_encoder_gives_257_states() {
    let config = ClipVisionConfig::vit_h_14();
    assert_eq!((config.tokens(), config.width, config.width / config.heads), (257, 1280, 80));
}
