//! Folders and files as people have them on disk, with toy networks inside.
#![allow(clippy::unwrap_used)]

mod support;

use support::model::{Model, WEIGHTS, dit, shrunk, toy};
use support::wan;
use wan_import::{
    Checkpoint, DitVariant, ImportError, Kind, Layout,
    Naming::{Diffusers, Official},
    Source,
};
use wan_model::{ModelKind, WanConfig};

const DIT_CONFIG: &str = r#"{"num_attention_heads":2,"attention_head_dim":128,"num_layers":2,"eps":1e-5}"#;
const SCHEDULER: &str = r#"{"_class_name":"UniPCMultistepScheduler","flow_shift":3.0,"use_flow_sigmas":true,
    "solver_order":2,"other":[1]}"#;

fn t2v() -> WanConfig {
    toy(ModelKind::T2v, 16, 16)
}

fn diffusers() -> Model {
    let model = Model::diffusers().with(&format!("transformer/{WEIGHTS}"), &t2v());
    model.text("transformer/config.json", DIT_CONFIG);
    model.text("scheduler/scheduler_config.json", SCHEDULER);
    model
}

fn official() -> Model {
    let model = Model::official().with(WEIGHTS, &t2v());
    model.text("config.json", r#"{"_class_name":"WanModel","num_heads":4,"dim":256,"in_dim":16}"#);
    model
}

#[test]
fn a_diffusers_folder_opens() {
    let model = diffusers();
    let checkpoint = model.open().unwrap();
    let config = &checkpoint.dit_config;
    assert_eq!((config.dim, config.heads, config.layers, config.ffn_dim, config.eps), (256, 2, 2, 8, 1e-5));
    assert_eq!(checkpoint.tokenizer, model.at("tokenizer/tokenizer.json"));
    let scheduler = checkpoint.scheduler.unwrap();
    assert_eq!(scheduler.class_name.as_deref(), Some("UniPCMultistepScheduler"));
    assert_eq!((scheduler.flow_shift, scheduler.shift, scheduler.solver_order), (Some(3.0), None, Some(2)));
    assert_eq!(scheduler.raw["other"][0], 1);
}

#[test]
fn an_official_folder_opens() {
    let model = official();
    let checkpoint = model.open().unwrap();
    assert_eq!(checkpoint.dit_config.heads, 4);
    assert!(checkpoint.scheduler.is_none());
    assert!(checkpoint.vae.config.is_none(), "the transformer's configuration is not the VAE's");
    let keys = checkpoint.dit.dit_keys();
    assert_eq!(keys.file_key("blocks.0.ffn.linear1.weight").unwrap(), "blocks.0.ffn.0.weight");
    assert_eq!(checkpoint.text_encoder.token_table().unwrap().width(), 64);
    let Kind::Dit(facts) = &checkpoint.dit.fingerprint.kind else { panic!("a transformer") };
    assert_eq!(facts.variant, DitVariant::T2v);
}

#[test]
fn dimensions_come_from_shapes() {
    let model = official();
    let checkpoint = model.open().unwrap();
    let text = checkpoint.text_config;
    assert_eq!((text.layers, text.d_model, text.d_ff, text.buckets), (24, 64, 160, 32));
    assert_eq!((text.heads, text.max_distance, text.eps), (64, 128, 1e-6));
}

#[test]
fn a_configuration_that_disagrees_is_refused() {
    let model = diffusers();
    for (config, field) in [
        (r#"{"num_layers":3}"#, "num_layers"),
        (r#"{"in_channels":4}"#, "in_channels"),
        (r#"{"num_attention_heads":3}"#, "num_attention_heads"),
        (r#"{"num_attention_heads":2,"attention_head_dim":64}"#, "num_attention_heads"),
        (r#"{"num_attention_heads":0}"#, "num_attention_heads"),
    ] {
        model.text("transformer/config.json", config);
        match model.open().unwrap_err() {
            ImportError::Conflict { field: found, path, .. } => {
                assert_eq!((found, path), (field, model.at("transformer/config.json")));
            }
            other => panic!("{config}: {other}"),
        }
    }
    for config in [r#"{"eps":-1}"#, r#"{"num_layers":"two"}"#, r#"{"attention_head_dim":100}"#] {
        model.text("transformer/config.json", config);
        let error = model.open().unwrap_err();
        assert!(matches!(error, ImportError::Config { .. }), "{error}");
    }
    for config in ["[", r#"{"dim":1,"dim":1}"#] {
        model.text("transformer/config.json", config);
        assert!(matches!(model.open(), Err(ImportError::Config { .. })), "{config}");
    }
}

#[test]
fn missing_pieces_are_named_with_place_and_flag() {
    for (file, component, flag) in [
        ("transformer/diffusion_pytorch_model.safetensors", "transformer", "--dit"),
        ("vae/diffusion_pytorch_model.safetensors", "VAE", "--vae"),
        ("text_encoder/model.safetensors", "text encoder", "--text-encoder"),
        ("tokenizer/tokenizer.json", "tokenizer", "--tokenizer"),
    ] {
        let model = diffusers();
        std::fs::remove_file(model.at(file)).unwrap();
        let error = model.open().unwrap_err();
        assert!(matches!(error, ImportError::MissingComponent { .. }), "{error}");
        let place = model.at(file.split('/').next().unwrap());
        let text = error.to_string();
        assert!(text.contains(component) && text.contains(place.to_str().unwrap()), "{text}");
        assert!(error.hint().unwrap().ends_with(flag));
    }
    let error = Checkpoint::open(&Source::default()).unwrap_err();
    assert_eq!(error.to_string(), "no diffusion transformer given");
    let absent = Source { model: Some("/nonexistent".into()), ..Source::default() };
    assert!(matches!(Checkpoint::open(&absent), Err(ImportError::Io { .. })));
}

#[test]
fn single_files_and_mixtures_open() {
    let (official, diffusers) = (official(), diffusers());
    let files = Source {
        dit: Some(official.at("diffusion_pytorch_model.safetensors")),
        vae: Some(official.at("Wan2.1_VAE.safetensors")),
        text_encoder: Some(diffusers.at("text_encoder")),
        tokenizer: Some(diffusers.at("tokenizer")),
        ..Source::default()
    };
    let checkpoint = Checkpoint::open(&files).unwrap();
    assert_eq!(checkpoint.layout, Layout::Files);
    assert_eq!(checkpoint.text_encoder.fingerprint.naming, Diffusers);
    assert_eq!(checkpoint.tokenizer, diffusers.at("tokenizer/tokenizer.json"));
    let mixed = Source { vae: files.vae.clone(), ..diffusers.source() };
    let checkpoint = Checkpoint::open(&mixed).unwrap();
    assert_eq!(checkpoint.vae.fingerprint.naming, Official);
    assert_eq!(checkpoint.dit.fingerprint.naming, Diffusers);
}

#[test]
fn components_in_the_wrong_place_are_refused() {
    let model = official();
    let swapped = Source { vae: Some(model.at("diffusion_pytorch_model.safetensors")), ..model.source() };
    let error = Checkpoint::open(&swapped).unwrap_err();
    assert!(matches!(error, ImportError::WrongComponent { expected: "a Wan VAE", .. }), "{error}");
    let file = Source { model: Some(model.at("Wan2.1_VAE.safetensors")), ..Source::default() };
    assert!(matches!(Checkpoint::open(&file), Err(ImportError::Config { .. })));
}

/// Each is good, but of another model.
#[test]
fn components_of_different_models_are_refused() {
    let narrow = toy(ModelKind::T2v, 8, 8);
    for (file, shapes, what) in [
        (
            "transformer/diffusion_pytorch_model.safetensors",
            dit(&narrow, Diffusers),
            "16 latent channels against 8",
        ),
        ("text_encoder/model.safetensors", shrunk(wan::umt5(Diffusers), 32), "128 values in a row"),
    ] {
        let model = diffusers();
        model.tensors(file, &shapes);
        let error = model.open().unwrap_err();
        assert!(matches!(error, ImportError::Mismatch { .. }) && error.hint().is_some(), "{error}");
        let text = error.to_string();
        assert!(text.contains(file) && text.contains(what), "{text}");
    }
}

#[test]
fn a_scheduler_that_makes_no_sense_is_refused() {
    let model = diffusers();
    let long = format!("{{\"x\":\"{}\"}}", "x".repeat(1 << 20));
    for text in [
        "[",
        "3",
        r#"{"flow_shift":"3"}"#,
        r#"{"solver_order":-1}"#,
        r#"{"use_flow_sigmas":1}"#,
        r#"{"flow_shift":1,"flow_shift":2}"#,
        &long,
    ] {
        model.text("scheduler/scheduler_config.json", text);
        match model.open().unwrap_err() {
            ImportError::Config { path, .. } => {
                assert_eq!(path, model.at("scheduler/scheduler_config.json"));
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn shards_take_precedence_over_a_leftover_file() {
    let model = diffusers();
    let folder = model.at("transformer");
    std::fs::rename(folder.join("diffusion_pytorch_model.safetensors"), folder.join("one.safetensors"))
        .unwrap();
    let map: Vec<_> =
        dit(&t2v(), Diffusers).0.keys().map(|key| format!(r#""{key}":"one.safetensors""#)).collect();
    let index = format!(r#"{{"weight_map":{{{}}}}}"#, map.join(","));
    model.text("transformer/diffusion_pytorch_model.safetensors.index.json", &index);
    model.text("transformer/diffusion_pytorch_model.safetensors", "leftover");
    let checkpoint = model.open().unwrap();
    assert!(checkpoint.dit.source.path().ends_with("diffusion_pytorch_model.safetensors.index.json"));
    assert_eq!(checkpoint.dit_config.eps, 1e-5);
}

/// Component, file name and hash of every file.
fn hashes(model: &Model) -> Vec<(String, String, String)> {
    let found = model.open().unwrap().fingerprints().unwrap();
    let name = |path: &std::path::Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    found.into_iter().map(|file| (file.component, name(&file.path), file.hash)).collect()
}

#[test]
fn every_file_of_a_model_has_a_hash_that_follows_its_bytes() {
    let model = diffusers();
    let before = hashes(&model);
    let names: Vec<_> = before.iter().map(|(part, name, _)| (part.as_str(), name.as_str())).collect();
    let vae = names.iter().find(|(part, _)| *part == "vae").unwrap().1;
    for file in [("transformer", WEIGHTS), ("transformer", "config.json"), ("tokenizer", "tokenizer.json")] {
        assert!(names.contains(&file), "{names:?}");
    }
    assert!(names.iter().any(|(part, _)| *part == "text_encoder"));
    assert_eq!(before, hashes(&model));
    let path = model.at(&format!("vae/{vae}"));
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let after = hashes(&model);
    let changed: Vec<_> = before.iter().zip(&after).filter(|(a, b)| a != b).map(|(a, _)| &a.0).collect();
    assert_eq!(changed, ["vae"]);
}
