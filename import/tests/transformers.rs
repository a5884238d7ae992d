//! The transformers of every task, by the key lists of their files.
#![allow(clippy::unwrap_used)]

mod support;

use std::{path::PathBuf, sync::Arc};

use support::{Shapes, presets, wan};
use wan_import::{
    Component, Fingerprint, ImportError, KeyTable,
    Naming::{self, Diffusers, Official},
};
use wan_model::{ModelKind, WanConfig};

fn component(shapes: Shapes, config: &str) -> Component {
    let fingerprint = Fingerprint::of(&shapes).unwrap();
    let config = (PathBuf::from("config.json"), serde_json::from_str(config).unwrap());
    Component { source: Arc::new(shapes), config: Some(config), fingerprint }
}

/// Every preset with a network, its names, and a tensor of its branch.
fn released() -> Vec<(WanConfig, &'static [Naming], &'static str)> {
    let both: &[Naming] = &[Official, Diffusers];
    let official = &both[..1];
    let camera = "blocks.39.cam_shift_layer.bias";
    vec![
        (WanConfig::t2v_1_3b(), both, ""),
        (WanConfig::t2v_14b(), both, ""),
        (WanConfig::i2v_14b(), both, "blocks.39.cross_attn.k_img.bias"),
        (WanConfig::flf2v_14b(), both, "blocks.0.cross_attn.norm_k_img.weight"),
        (WanConfig::t2v_a14b(), both, ""),
        (WanConfig::i2v_a14b(), both, ""),
        (WanConfig::ti2v_5b(), both, ""),
        (WanConfig::lingbot_base_cam(), official, camera),
        (WanConfig::lingbot_base_act(), official, camera),
        (WanConfig::lingbot_fast(), official, camera),
        (WanConfig::lingbot_v2_14b(), official, camera),
        (WanConfig::lingbot_v2_1_3b(), official, "c2ws_hidden_states_layer2.weight"),
    ]
}

/// What a file does not show: how many experts there are, and whether they run chunk by chunk.
fn shown(mut config: WanConfig) -> WanConfig {
    config.experts = 1;
    if let ModelKind::LingBot { causal, .. } = &mut config.kind {
        *causal = false;
    }
    config
}

#[test]
fn every_released_transformer_is_known_by_its_file() {
    for (config, namings, _) in released() {
        for &naming in namings {
            let shapes = presets::shapes(&config, naming);
            assert_eq!(Some(shapes.elements() as u64), config.parameter_count(), "{config:?}");
            for prefix in ["", "model.diffusion_model."] {
                let file = component(shapes.prefixed(prefix), "{}");
                assert_eq!(file.dit_config().unwrap(), shown(config.clone()));
                file.check_transformer().unwrap();
            }
        }
    }
}

/// Every released transformer with a file of its own shape, and its names.
fn named() -> Vec<(WanConfig, &'static [&'static str])> {
    let camera: &[&str] = &[
        "robbyant/lingbot-world-base-cam",
        "robbyant/lingbot-world-fast",
        "robbyant/lingbot-world-v2-14b-causal-fast",
    ];
    let t2v_14b: &[&str] = &["Wan-AI/Wan2.1-T2V-14B", "Wan-AI/Wan2.2-T2V-A14B"];
    vec![
        (WanConfig::t2v_1_3b(), &["Wan-AI/Wan2.1-T2V-1.3B"]),
        (WanConfig::t2v_14b(), t2v_14b),
        (WanConfig::t2v_a14b(), t2v_14b),
        (WanConfig::i2v_14b(), &["Wan-AI/Wan2.1-I2V-14B-480P", "Wan-AI/Wan2.1-I2V-14B-720P"]),
        (WanConfig::flf2v_14b(), &["Wan-AI/Wan2.1-FLF2V-14B-720P"]),
        (WanConfig::vace_1_3b(), &["Wan-AI/Wan2.1-VACE-1.3B"]),
        (WanConfig::vace_14b(), &["Wan-AI/Wan2.1-VACE-14B"]),
        (WanConfig::i2v_a14b(), &["Wan-AI/Wan2.2-I2V-A14B"]),
        (WanConfig::ti2v_5b(), &["Wan-AI/Wan2.2-TI2V-5B"]),
        (WanConfig::s2v_14b(), &["Wan-AI/Wan2.2-S2V-14B"]),
        (WanConfig::animate_14b(), &["Wan-AI/Wan2.2-Animate-14B"]),
        (WanConfig::lingbot_base_cam(), camera),
        (WanConfig::lingbot_fast(), camera),
        (WanConfig::lingbot_v2_14b(), camera),
        (WanConfig::lingbot_base_act(), &["LingBot-World-Base (Act)"]),
        (WanConfig::lingbot_v2_1_3b(), &["robbyant/lingbot-world-v2-1.3b-causal-fast"]),
    ]
}

#[test]
fn every_released_transformer_is_named_by_its_file() {
    for (config, names) in named() {
        assert_eq!(config.released(), names, "{config:?}");
        let official_only = matches!(config.kind, ModelKind::LingBot { .. });
        for &naming in if official_only { &[Official][..] } else { &[Official, Diffusers] } {
            let shapes = presets::shapes(&config, naming);
            if matches!(config.kind, ModelKind::Vace { .. }) {
                assert_eq!(Some(shapes.elements() as u64), config.parameter_count(), "{config:?}");
            }
            for prefix in ["", "diffusion_model."] {
                assert_eq!(component(shapes.prefixed(prefix), "{}").released(), names, "{config:?}");
            }
        }
    }
}

#[test]
fn other_transformers_have_no_name() {
    let shallow = WanConfig { layers: 29, ..WanConfig::t2v_1_3b() };
    let wide = WanConfig { dim: 6144, heads: 48, ..WanConfig::i2v_14b() };
    let few_hints = ModelKind::Vace { layers: vec![0, 10, 20], in_dim: 96 };
    for config in [shallow, wide, WanConfig { kind: few_hints, ..WanConfig::t2v_1_3b() }] {
        assert!(config.released().is_empty(), "{config:?}");
        assert!(component(presets::shapes(&config, Official), "{}").released().is_empty(), "{config:?}");
    }
    assert!(component(wan::umt5(Official), "{}").released().is_empty(), "no transformer");
}

#[test]
fn a_tensor_more_or_less_is_said() {
    for (config, _, key) in released() {
        let mut more = presets::shapes(&config, Official);
        let mut less = presets::shapes(&config, Official);
        more.add("blocks.0.cross_attn.q_img.weight", &[config.dim]);
        let error = component(more, "{}").check_transformer().unwrap_err();
        assert!(matches!(&error, ImportError::UnusedTensors { count: 1, .. }), "{error}");
        if key.is_empty() {
            continue;
        }
        less.0.remove(key).unwrap();
        let error = component(less, "{}").check_transformer().unwrap_err();
        let missing =
            matches!(&error, ImportError::MissingTensors { count: 1, first, .. } if first == &[key]);
        assert!(missing, "{error}");
    }
}

/// Renaming must keep apart what has the same shape.
#[test]
fn equal_shapes_are_not_swapped() {
    for (path, official, diffusers) in [
        ("cross_attn.k.weight", "cross_attn.k.weight", "attn2.to_k.weight"),
        ("cross_attn.image.k.weight", "cross_attn.k_img.weight", "attn2.add_k_proj.weight"),
        ("cross_attn.image.v.bias", "cross_attn.v_img.bias", "attn2.add_v_proj.bias"),
        ("cross_attn.image.norm_k.weight", "cross_attn.norm_k_img.weight", "attn2.norm_added_k.weight"),
        ("camera.linear1.weight", "cam_injector_layer1.weight", ""),
        ("camera.linear2.weight", "cam_injector_layer2.weight", ""),
        ("camera.scale.weight", "cam_scale_layer.weight", ""),
        ("camera.shift.bias", "cam_shift_layer.bias", ""),
    ] {
        let key = |naming| KeyTable::dit(naming, "").file_key(&format!("blocks.3.{path}"));
        assert_eq!(key(Official).unwrap(), format!("blocks.3.{official}"));
        if !diffusers.is_empty() {
            assert_eq!(key(Diffusers).unwrap(), format!("blocks.3.{diffusers}"));
        }
    }
    let official = KeyTable::dit(Official, "");
    let camera =
        ["linear1", "linear2"].map(|part| official.file_key(&format!("camera.{part}.bias")).unwrap());
    assert_eq!(camera, ["c2ws_hidden_states_layer1.bias", "c2ws_hidden_states_layer2.bias"]);
}

#[test]
fn a_configuration_must_agree_with_the_branches() {
    let file =
        |config: &str| component(presets::shapes(&WanConfig::flf2v_14b(), Diffusers), config).dit_config();
    let good = r#"{"image_dim":1280,"added_kv_proj_dim":5120,"pos_embed_seq_len":514,"in_channels":36}"#;
    assert_eq!(file(good).unwrap(), WanConfig::flf2v_14b());
    for field in ["image_dim", "added_kv_proj_dim", "pos_embed_seq_len", "in_channels"] {
        match file(&format!("{{\"{field}\":7}}")).unwrap_err() {
            ImportError::Conflict { field: found, .. } => assert_eq!(found, field),
            other => panic!("{other}"),
        }
    }
    let i2v = r#"{"image_dim":1280,"added_kv_proj_dim":5120,"pos_embed_seq_len":null}"#;
    component(presets::shapes(&WanConfig::i2v_14b(), Diffusers), i2v).dit_config().unwrap();
}

#[test]
fn branches_that_cannot_be_are_refused() {
    let mut odd = presets::shapes(&WanConfig::lingbot_base_cam(), Official);
    odd.0.get_mut("patch_embedding_wancamctrl.weight").unwrap().shape[1] = 1500;
    let error = component(odd, "{}").dit_config().unwrap_err().to_string();
    assert!(error.contains("1500 control values per token"), "{error}");
    let mut cut = presets::shapes(&WanConfig::i2v_14b(), Official);
    cut.0.remove("img_emb.proj.1.weight");
    let error = component(cut, "{}").dit_config().unwrap_err();
    assert!(matches!(error, ImportError::MissingTensors { .. }), "{error}");
    let mut narrow = presets::shapes(&WanConfig::flf2v_14b(), Official);
    narrow.0.get_mut("img_emb.emb_pos").unwrap().shape = vec![1, 514, 1024];
    let error = component(narrow, "{}").check_transformer().unwrap_err();
    assert!(matches!(&error, ImportError::Shape { key, .. } if key == "img_emb.emb_pos"), "{error}");
    for (mark, name) in [("vace_patch_embedding.weight", "vace"), ("face_adapter.bias", "animate")] {
        let mut file = wan::Dit::T2V_1_3B.shapes(Official);
        file.add(mark, &[1536]);
        let error = component(file, "{}").dit_config().unwrap_err().to_string();
        assert!(error.contains(&format!("a Wan {name} transformer")), "{error}");
    }
}
