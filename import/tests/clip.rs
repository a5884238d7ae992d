//! The image encoder as people have it on disk, loaded and run against transformers' `CLIPVisionModel`.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::PathBuf;

use burn::tensor::{DType, Device, FloatDType};
use safetensors::{Dtype, SafeTensors};
use support::Named;
use testkit::{Golden, TestDevice, Tolerance, assert_close, devices};
use wan_import::{Component, DtypePolicy, ImportError, Kind, Naming, Source};

const OFFICIAL: &str = "models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth";

fn folder(layout: &str) -> PathBuf {
    Golden::path("tiny_clip").join(layout)
}

fn find(model: PathBuf) -> Result<Component, ImportError> {
    Source { model: Some(model), ..Source::default() }.image_encoder(None)
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

/// A folder for `diffusers` needs no more than the component's own folder and the file that says what it is.
fn component(layout: &str) -> Component {
    match layout {
        "diffusers" => Component::open(&folder("diffusers/image_encoder")).unwrap(),
        _ => find(folder("official")).unwrap(),
    }
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
    let policy = DtypePolicy { matmul: FloatDType::F16 };
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

#[test]
fn it_is_found_in_both_folders_and_missed_with_place_and_flag() {
    let model = tempfile::tempdir().unwrap();
    let error = find(model.path().into()).unwrap_err();
    assert!(error.to_string().contains(OFFICIAL), "{error}");
    assert_eq!(error.hint().unwrap(), "give its path with --image-encoder");
    let file = folder("official").join(OFFICIAL);
    std::fs::copy(&file, model.path().join("models_clip_half.pth")).unwrap();
    assert!(find(model.path().into()).is_ok());

    std::fs::write(model.path().join("model_index.json"), "{}").unwrap();
    let error = find(model.path().into()).unwrap_err();
    assert!(matches!(&error, ImportError::MissingComponent { looked, .. }
        if *looked == [model.path().join("image_encoder")]));
    std::fs::create_dir(model.path().join("image_encoder")).unwrap();
    for name in ["config.json", "model.safetensors"] {
        let from = folder("diffusers/image_encoder").join(name);
        std::fs::copy(from, model.path().join("image_encoder").join(name)).unwrap();
    }
    assert_eq!(find(model.path().into()).unwrap().clip_config().unwrap().heads, 2);
    let given = Source { model: Some(model.path().into()), ..Source::default() }.image_encoder(Some(&file));
    assert_eq!(given.unwrap().fingerprint.naming, Naming::Official);
}

#[test]
fn another_network_in_its_place_is_refused() {
    let vae = Golden::path("tiny/official/Wan2.1_VAE.pth");
    let error = Source::default().image_encoder(Some(&vae)).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{}: expected a CLIP image encoder, but this is the Wan 2.1 VAE", vae.display())
    );
    let vae = Component::open(&vae).unwrap();
    assert!(matches!(vae.clip_config(), Err(ImportError::WrongComponent { .. })));
    let error = vae.load_clip_vision(&DtypePolicy::F32, &Device::flex()).unwrap_err();
    assert!(matches!(error, ImportError::WrongComponent { .. }));
    let error = Source::default().image_encoder(None).unwrap_err();
    assert_eq!(error.to_string(), "no image encoder given");
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
