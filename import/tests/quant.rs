//! Transformers whose large layers are quantized while they are loaded, and ones whose blocks stay on the host.
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use burn::{prelude::*, tensor::DType};
use support::{Shapes, presets};
use testkit::{devices, normal, relative_l2, tensor};
use wan_import::{Component, DtypePolicy, Fingerprint, Naming, Quant, TensorBytes, TensorInfo, TensorSource};
use wan_model::{CameraContext, Conditions, LargeLinears, ModelKind, WanConfig, WanTransformer};

/// Well-scaled random values for each name: matrices by their inputs, all else near one.
#[derive(Debug)]
struct Random(Shapes);

impl TensorSource for Random {
    fn path(&self) -> &Path {
        Path::new("random")
    }

    fn names(&self) -> Vec<&str> {
        self.0.names()
    }

    fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.0.info(name)
    }

    fn data(&self, name: &str) -> Option<TensorBytes> {
        let shape = &self.0.info(name)?.shape;
        let count: usize = shape.iter().product();
        let seed = name.bytes().fold(7u64, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
        let (offset, scale) = match shape.len() {
            1 if name.contains("norm") => (1.0, 0.2),
            1 => (0.0, 0.2),
            _ => (0.0, (shape[0] as f32 / count as f32).sqrt()),
        };
        let values = normal(seed, count).into_iter().map(|value| offset + scale * value);
        Some(TensorBytes::owned(values.flat_map(f32::to_le_bytes).collect()))
    }
}

/// A block with a camera, of widths that blocks of every size divide.
fn component() -> Component {
    let kind = ModelKind::LingBot { control_dim: 6, causal: false };
    let config = WanConfig { kind, dim: 256, ffn_dim: 512, layers: 2, in_dim: 36, ..WanConfig::t2v_1_3b() };
    let source = Random(presets::shapes(&config, Naming::Official));
    let fingerprint = Fingerprint::of(&source).unwrap();
    let settings = serde_json::json!({"num_heads": 2});
    Component {
        source: Arc::new(source),
        config: Some((PathBuf::from("config.json"), settings)),
        fingerprint,
    }
}

fn load(policy: &DtypePolicy, device: &Device) -> WanTransformer {
    component().load_transformer(policy, device).unwrap()
}

fn quantized(quant: Quant) -> DtypePolicy {
    DtypePolicy { quant: Some(quant), ..DtypePolicy::F32 }
}

/// With scales in f16, where the device has that.
fn with_half_scales(policy: DtypePolicy, device: &Device) -> DtypePolicy {
    DtypePolicy { half_scales: device.supports_dtype(DType::F16), ..policy }
}

fn camera(model: &WanTransformer, device: &Device, kept: usize) -> CameraContext {
    model.embed_camera(tensor::<3>(3, [1, 6, 6 * 256], device), kept).unwrap()
}

fn flow(model: &WanTransformer, device: &Device) -> Vec<f32> {
    let text = model.embed_text(tensor(1, [1, 5, 4096], device));
    let camera = camera(model, device, 1);
    let conditions = Conditions { texts: [&text], image: None, camera: Some(&camera) };
    let x: Tensor<5> = tensor(2, [1, 36, 1, 4, 6], device);
    let y = model.forward(x, 500.0, conditions, &model.rope([1, 4, 6], device));
    y.into_data().try_into_vec().unwrap()
}

#[test]
fn fewer_bits_move_the_flow_a_little() {
    let exact = flow(&load(&DtypePolicy::F32, &Device::flex()), &Device::flex());
    // A row here is one block of eight bits or four of four; of two layers of blocks the errors add up.
    for (quant, least, most) in [(Quant::Int8, 1e-4, 1.5e-2), (Quant::Nf4, 1e-2, 1.5e-1)] {
        let reference = flow(&load(&quantized(quant), &Device::flex()), &Device::flex());
        let error = relative_l2(&reference, &exact);
        assert!((least..most).contains(&error), "{quant:?}: {error:.2e}");
        for device in devices().iter().filter(|device| device.name != "cpu") {
            let policy = with_half_scales(quantized(quant), &device.device);
            let found = flow(&load(&policy, &device.device), &device.device);
            let error = relative_l2(&found, &reference);
            assert!(error < 1e-4, "{quant:?} on {}: {error:.2e}", device.name);
        }
    }
}

#[test]
fn every_large_layer_is_quantized_and_no_other() {
    let mut model = load(&quantized(Quant::Nf4), &Device::flex());
    let mut layers = Vec::new();
    model.large_linears("", &mut |path, linear| layers.push((path.to_owned(), linear.shape())));
    // Of each block eight layers of attention, two of the feed-forward and four of the camera.
    assert_eq!(layers.len(), 2 * 14);
    assert!(layers.contains(&("blocks.1.ffn.linear1".to_owned(), [512, 256])));
    assert!(layers.iter().any(|(path, _)| path == "blocks.0.camera.shift"));
    // What is left for a visitor are floats; each large weight is not among them.
    let floats = model.num_params();
    let large: usize = layers.iter().map(|(_, [n, k])| n * k).sum();
    let all = load(&DtypePolicy::F32, &Device::flex()).num_params();
    assert_eq!(floats + large, all);
}

#[test]
fn streamed_blocks_give_the_same_bits() {
    for device in &devices() {
        for policy in [DtypePolicy::F32, quantized(Quant::Nf4), quantized(Quant::Int8)] {
            let policy = with_half_scales(policy, &device.device);
            let resident = load(&policy, &device.device);
            let streamed = load(&policy, &Device::flex()).with_blocks_streamed_to(&device.device);
            let same = flow(&resident, &device.device) == flow(&streamed, &device.device);
            assert!(same, "{policy:?} on {}", device.name);
        }
    }
}
