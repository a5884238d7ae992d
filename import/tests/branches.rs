//! Transformers with branches as people have them on disk, loaded and run against PyTorch.
#![allow(clippy::unwrap_used)]

use burn::tensor::{DType, FloatDType, Tensor};
use testkit::{Golden, TestDevice, Tolerance, assert_close, devices};
use wan_import::{Component, DtypePolicy};
use wan_model::{Conditions, ModelKind};

const PAIR: ModelKind = ModelKind::Flf2v { image_dim: 20, image_len: 10 };
const CAMERA: ModelKind = ModelKind::LingBot { control_dim: 1, causal: false };

/// Folder, golden and case of each toy.
const TOYS: [[&str; 3]; 3] = [
    ["diffusers", "dit_image", "pair"],
    ["official", "dit_image", "pair"],
    ["lingbot", "dit_camera", "case"],
];

fn check(toy: [&str; 3], device: &TestDevice, policy: &DtypePolicy, tolerance: Tolerance) {
    let [folder, golden, case] = toy;
    let (component, golden) = (open(folder), Golden::load(golden));
    let key = |name: &str| format!("{case}.{name}");
    let tensor = |name: &str| golden.tensor::<3>(&key(name), &device.device);
    let model = component.load_transformer(policy, &device.device).unwrap();
    let text = model.embed_text(tensor("text"));
    let (image, camera) = match component.dit_config().unwrap().kind {
        ModelKind::LingBot { .. } => (None, Some(model.embed_camera(tensor("control"), 1).unwrap())),
        _ => (Some(model.embed_image(tensor("image")).unwrap()), None),
    };
    let x: Tensor<5> = golden.tensor(&key("x"), &device.device);
    let [_, _, f, h, w] = x.dims();
    let conditions = Conditions { texts: [&text], image: image.as_ref(), camera: camera.as_ref() };
    let timestep = f64::from(golden.get(&key("t")).1[0]);
    let y = model.forward(x, timestep, conditions, &model.rope([f, h, w], &device.device));
    assert_close(&format!("{folder} on {}", device.name), y, golden.get(&key("y")), tolerance);
}

fn open(folder: &str) -> Component {
    Component::open(&Golden::path("tiny_dit").join(folder)).unwrap()
}

#[test]
fn every_layout_gives_the_references_flow() {
    for device in &devices() {
        for toy in TOYS {
            check(toy, device, &DtypePolicy::F32, Tolerance::module(device));
        }
    }
}

#[test]
fn half_precision_weights_stay_near() {
    let policy = DtypePolicy::float(FloatDType::F16);
    for device in devices().iter().filter(|d| d.name != "ndarray" && d.device.supports_dtype(DType::F16)) {
        for toy in TOYS {
            check(toy, device, &policy, Tolerance::MODULE_F16);
        }
    }
}

#[test]
fn kinds_and_dimensions_come_from_shapes_and_configuration() {
    for (folder, kind, in_dim) in [("diffusers", PAIR, 9), ("official", PAIR, 9), ("lingbot", CAMERA, 6)] {
        let config = open(folder).dit_config().unwrap();
        assert_eq!((config.kind, config.in_dim, config.out_dim, config.heads), (kind, in_dim, 4, 2));
    }
}
