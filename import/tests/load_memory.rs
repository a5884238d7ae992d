//! What is held while a transformer's weights are loaded onto the host, beside what is held in the end.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;

use burn::{prelude::*, tensor::FloatDType};
use half::{bf16, f16};
use safetensors::Dtype;
use support::{Named, f32s, presets, write};
use testkit::{
    counting::{Counting, alone, held, most_held},
    normal,
};
use wan_import::{Component, DtypePolicy, Naming, Quant, TensorSource};
use wan_model::{ModelKind, WanConfig};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Beside weights: the plan of a load, tasks of the threads.
const LITTLE: usize = 2 << 20;

/// Blocks of 2.6 million parameters.
fn config() -> WanConfig {
    let kind = ModelKind::T2v;
    WanConfig { kind, dim: 512, ffn_dim: 1024, layers: 6, text_dim: 256, ..WanConfig::t2v_1_3b() }
}

fn bytes_of(dtype: Dtype, values: &[f32]) -> Vec<u8> {
    match dtype {
        Dtype::F32 => f32s(values),
        Dtype::F16 => values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect(),
        Dtype::BF16 => values.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect(),
        other => panic!("{other:?}"),
    }
}

/// A transformer's file, its values in `dtype`.
fn file(path: &Path, dtype: Dtype) {
    let shapes = presets::shapes(&config(), Naming::Official);
    let tensors: Vec<Named<'_>> = shapes
        .names()
        .into_iter()
        .map(|name| {
            let shape = shapes.info(name).unwrap().shape.clone();
            let values = normal(name.len() as u64, shape.iter().product());
            (name, dtype, shape, bytes_of(dtype, &values))
        })
        .collect();
    write(path, &tensors);
}

/// The bytes of the largest tensor, a feed-forward layer's, in f32: what a conversion starts from.
const LARGEST: usize = 4 * 512 * 1024;

#[test]
fn loading_holds_little_more_than_what_is_loaded() {
    let _turn = alone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    for stored in [Dtype::F32, Dtype::F16, Dtype::BF16] {
        file(&path, stored);
        let component = Component::open(&path).unwrap();
        let dense = [FloatDType::F32, FloatDType::F16].map(|dtype| (DtypePolicy::float(dtype), 0.0));
        let [int8, nf4] = [Quant::Int8, Quant::Nf4].map(|quant| DtypePolicy {
            quant: Some(quant),
            half_scales: true,
            ..DtypePolicy::F32
        });
        for (policy, at_least) in dense.into_iter().chain([(int8, 1.0), (nf4, 0.5)]) {
            let before = held();
            let load = || component.load_transformer(&policy, &Device::flex()).unwrap();
            let (model, most) = most_held(load);
            let kept = held() - before;
            let large = 6.0 * 8.0 * (512 * 512) as f64 + 6.0 * 2.0 * (512 * 1024) as f64;
            assert!(kept as f64 >= at_least * large, "{stored:?}, {policy:?}: only {kept} bytes are held");
            assert!(
                most <= kept + kept / 20 + LARGEST + LITTLE,
                "{stored:?}, {policy:?}: {most} bytes at most for {kept} in the end"
            );
            drop(model);
        }
    }
}
