//! The image encoder as people have it on disk, loaded and run against transformers' `CLIPVisionModel`.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::PathBuf;

use burn::tensor::{DType, Device, FloatDType};
use safetensors::{Dtype, SafeTensors};
use support::{
    Named,
    model::{Model, WEIGHTS, dit, toy},
};
use testkit::{Golden, TestDevice, Tolerance, assert_close, devices};
use wan_import::{Checkpoint, Component, DtypePolicy, ImportError, Kind, Layout, Naming, Source};
use wan_model::ModelKind;

const OFFICIAL: &str = "models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth";

fn folder(layout: &str) -> PathBuf {
    Golden::path("tiny_clip").join(layout)
}

/// Layout, pictures and states of each toy encoder.
const TOYS: [[&str; 3]; 2] = [["diffusers", "small", "gelu"], ["official", "large", "official"]];

fn check(encoder: &Component, device: &TestDevice, policy: &DtypePolicy, toy: [&str; 3], bound: Tolerance) {
    let golden = Golden::load("clip");
    let [layout, pictures, states] = toy;
    let module = encoder.load_clip_vision(policy, &device.device).unwrap();
    let actual = module.forward(golden.tensor(pictures, &device.device));
    assert_close(&format!("{layout} on {}", device.name), actual, golden.get(states), bound);
}

fn component(layout: &str) -> Component {
    let path = if layout == "diffusers" {
        folder("diffusers/image_encoder")
    } else {
        folder("official").join(OFFICIAL)
    };
    Component::open(&path).unwrap()
}

#[test]
fn both_layouts_give_the_references_states() {
    for device in devices() {
        for toy in TOYS {
            check(&component(toy[0]), &device, &DtypePolicy::F32, toy, Tolerance::module(&device));
        }
    }
}

#[test]
fn half_precision_weights_stay_near() {
    let policy = DtypePolicy::float(FloatDType::F16);
    for device in devices().into_iter().filter(|d| d.gpu && d.device.supports_dtype(DType::F16)) {
        for toy in TOYS {
            check(&component(toy[0]), &device, &policy, toy, Tolerance::MODULE_F16);
        }
    }
}

#[test]
fn dimensions_come_from_shapes_and_configuration() {
    let encoder = component("official");
    assert_eq!((&encoder.fingerprint.kind, encoder.fingerprint.naming), (&Kind::Clip, Naming::Official));
    let config = encoder.clip_config().unwrap();
    assert_eq!((config.image_size, config.patch, config.width, config.heads), (32, 4, 80, 1));
    assert_eq!((config.layers, config.mlp, config.eps, config.fused_qkv), (2, 64, 1e-5, true));
    let config = component("diffusers").clip_config().unwrap();
    assert_eq!((config.image_size, config.patch, config.width, config.heads), (28, 14, 32, 2));
    assert_eq!((config.layers, config.mlp, config.fused_qkv), (3, 48, false));
}

/// A model that needs the encoder, without it.
fn model(layout: Layout) -> Model {
    let width = if layout == Layout::Diffusers { 32 } else { 80 };
    let dit = toy(ModelKind::ClipI2v { image_dim: width }, 36, 16);
    match layout {
        Layout::Diffusers => Model::diffusers().with(&format!("transformer/{WEIGHTS}"), &dit),
        _ => Model::official().with(WEIGHTS, &dit),
    }
}

#[test]
fn it_is_found_in_both_folders_and_missed_with_place_and_flag() {
    for (layout, place, names) in [
        (Layout::Official, OFFICIAL, &["models_clip_half.pth"][..]),
        (
            Layout::Diffusers,
            "image_encoder",
            &["image_encoder/config.json", "image_encoder/model.safetensors"],
        ),
    ] {
        let model = model(layout);
        let error = model.open().unwrap_err();
        let text = format!("no CLIP image encoder found; looked for {}", model.at(place).display());
        assert_eq!(error.to_string(), text);
        assert_eq!(error.hint().unwrap(), "give its path with --image-encoder");
        for name in names {
            let from = if layout == Layout::Official {
                folder("official").join(OFFICIAL)
            } else {
                folder("diffusers").join(name)
            };
            std::fs::create_dir_all(model.at(name).parent().unwrap()).unwrap();
            std::fs::copy(from, model.at(name)).unwrap();
        }
        let checkpoint = model.open().unwrap();
        assert_eq!(
            checkpoint.clip_config.as_ref().map(|config| config.width),
            checkpoint.dit_config.image_dim()
        );
        checkpoint.load_clip_vision(&DtypePolicy::F32, &Device::flex()).unwrap();
        checkpoint.load_vae_encoder(&Device::flex()).unwrap();
    }
}

#[test]
fn it_must_fit_the_transformer() {
    let model = model(Layout::Official);
    let narrow = Source { image_encoder: Some(folder("diffusers/image_encoder")), ..model.source() };
    let error = Checkpoint::open(&narrow).unwrap_err();
    assert!(matches!(&error, ImportError::Mismatch { found: 32, expected: 80, .. }), "{error}");
    let encoder = folder("official").join(OFFICIAL);
    for (image_len, fits) in [(130, true), (514, false)] {
        model.tensors(
            WEIGHTS,
            &dit(&toy(ModelKind::Flf2v { image_dim: 80, image_len }, 36, 16), Naming::Official),
        );
        let given = Source { image_encoder: Some(encoder.clone()), ..model.source() };
        match Checkpoint::open(&given) {
            Ok(_) => assert!(fits),
            Err(error) => {
                assert!(!fits && error.to_string().contains("130 image tokens against 514"), "{error}")
            }
        }
    }
}

#[test]
fn models_without_an_image_branch_leave_it_closed() {
    let model = Model::official().with(WEIGHTS, &toy(ModelKind::T2v, 16, 16));
    let given = Source { image_encoder: Some("/nonexistent".into()), ..model.source() };
    let checkpoint = Checkpoint::open(&given).unwrap();
    assert!(checkpoint.image_encoder.is_none() && checkpoint.clip_config.is_none());
    let error = checkpoint.load_clip_vision(&DtypePolicy::F32, &Device::flex()).unwrap_err();
    assert!(error.to_string().ends_with("this transformer takes no image features"), "{error}");
}

#[test]
fn another_network_in_its_place_is_refused() {
    let (vae, model) = (Golden::path("tiny/official/Wan2.1_VAE.pth"), model(Layout::Official));
    let given = Source { image_encoder: Some(vae.clone()), ..model.source() };
    let error = Checkpoint::open(&given).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{}: expected a CLIP image encoder, but this is the Wan 2.1 VAE", vae.display())
    );
    let vae = Component::open(&vae).unwrap();
    assert!(matches!(vae.clip_config(), Err(ImportError::WrongComponent { .. })));
    let error = vae.load_clip_vision(&DtypePolicy::F32, &Device::flex()).unwrap_err();
    assert!(matches!(error, ImportError::WrongComponent { .. }));
}

/// The diffusers toy with its tensors changed, without its configuration.
fn changed(change: impl Fn(&mut Vec<Named>)) -> Result<(), ImportError> {
    let bytes = std::fs::read(folder("diffusers/image_encoder/model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors: Vec<Named> = file
        .iter()
        .map(|(name, view)| (name, Dtype::F32, view.shape().to_vec(), view.data().to_vec()))
        .collect();
    change(&mut tensors);
    let folder = tempfile::tempdir().unwrap();
    let path = support::write(&folder.path().join("model.safetensors"), &tensors);
    let config = r#"{"num_attention_heads":2,"hidden_act":"gelu"}"#;
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    let encoder = Component::open(&path)?;
    encoder.load_clip_vision(&DtypePolicy::F32, &Device::flex()).map(|_| ())
}

#[test]
fn a_file_must_fit_exactly() {
    let extra = |name: &'static str| (name, Dtype::F32, vec![1], vec![0; 4]);
    changed(|_| ()).unwrap();
    changed(|tensors| {
        tensors.push(extra("vision_model.embeddings.position_ids"));
        tensors.push(extra("visual_projection.weight"));
        tensors.retain(|(name, ..)| !name.contains("layers.2.mlp") && !name.contains("post_layernorm"));
    })
    .unwrap();
    let key = "vision_model.encoder.layers.1.mlp.fc2.bias";
    let error = changed(|tensors| tensors.retain(|(name, ..)| *name != key)).unwrap_err();
    assert!(matches!(&error, ImportError::MissingTensors { count: 1, first, .. } if first == &[key]));
    let error = changed(|tensors| tensors.push(extra("vision_model.adapter"))).unwrap_err();
    assert!(
        matches!(&error, ImportError::UnusedTensors { first, .. } if first == &["vision_model.adapter"]),
        "{error}"
    );
    let error = changed(|tensors| {
        let tensor = tensors.iter_mut().find(|(name, ..)| *name == key).unwrap();
        (tensor.2, tensor.3) = (vec![2], vec![0; 8]);
    })
    .unwrap_err();
    assert!(matches!(&error, ImportError::Shape { key: found, expected, .. }
        if found == key && expected == &[32]));
}
