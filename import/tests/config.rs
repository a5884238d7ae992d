//! Configurations of networks from shapes and from what lies beside them.
#![allow(clippy::unwrap_used)]

mod support;

use std::{fs, path::PathBuf, sync::Arc};

use support::{Shapes, clip, wan};
use testkit::Golden;
use wan_import::{
    Component, Fingerprint, ImportError,
    Naming::{Diffusers, Official},
};
use wan_model::{ClipActivation, ClipVisionConfig};

fn component(shapes: Shapes, config: Option<&str>) -> Component {
    let fingerprint = Fingerprint::of(&shapes).unwrap();
    let config = config.map(|text| (PathBuf::from("config.json"), serde_json::from_str(text).unwrap()));
    Component { source: Arc::new(shapes), config, fingerprint }
}

/// The real sizes, from shapes alone.
#[test]
fn released_networks_have_their_published_dimensions() {
    for naming in [Official, Diffusers] {
        let dit = component(wan::Dit::T2V_14B.shapes(naming), None).dit_config().unwrap();
        assert_eq!((dit.heads, dit.layers, dit.text_dim, dit.freq_dim), (40, 40, 4096, 256));
        let text = component(wan::umt5(naming), None).text_config().unwrap();
        let sizes = [text.vocab, text.d_model, text.d_kv, text.d_ff, text.layers, text.heads, text.buckets];
        assert_eq!(sizes, [256384, 4096, 64, 10240, 24, 64, 32]);
        let vae = component(wan::vae(naming), None).vae_config().unwrap();
        assert_eq!((vae.base_dim, vae.z_dim, vae.num_res_blocks), (96, 16, 2));
        assert_eq!((vae.dim_mult, vae.temporal_down), (vec![1, 2, 4, 4], vec![false, true, true]));
        assert_eq!((vae.latents_mean[15], vae.latents_std[0]), (-0.2921, 2.8184));
        let config = r#"{"base_dim":96,"z_dim":16,"dim_mult":[1,2,4,4],"num_res_blocks":2,
            "temperal_downsample":[false,true,true]}"#;
        assert!(component(wan::vae(naming), Some(config)).vae_config().is_ok());
        for wrong in ["\"z_dim\":15", "\"dim_mult\":[1,2,4]", "\"temperal_downsample\":[true,true,true]"] {
            let result = component(wan::vae(naming), Some(&format!("{{{wrong}}}"))).vae_config();
            assert!(matches!(result, Err(ImportError::Conflict { .. })), "{wrong}");
        }
        let given = format!(r#"{{"latents_mean":{:?},"latents_std":{:?}}}"#, [0.5; 16], [2.0; 16]);
        let vae = component(wan::vae(naming), Some(&given)).vae_config().unwrap();
        assert_eq!((vae.latents_mean[3], vae.latents_std[3]), (0.5, 2.0));
        let mut swapped = wan::vae(naming);
        swapped.0.retain(|name, _| !(name.contains("decoder") && name.contains("time_conv")));
        assert!(component(swapped, None).vae_config().is_err());
        assert!(component(wan::umt5(naming), None).vae_config().is_err());
    }
}

#[test]
fn the_released_image_encoder_has_its_published_dimensions() {
    let config = component(clip::shapes(Official), None).clip_config().unwrap();
    assert_eq!(config, ClipVisionConfig::vit_h_14());
    let (full, diffusers) = (
        r#"{"hidden_size":1280,"image_size":224,"patch_size":14,"num_hidden_layers":32,"intermediate_size":5120,
            "num_attention_heads":16,"hidden_act":"gelu","layer_norm_eps":1e-5}"#,
        ClipVisionConfig { fused_qkv: false, ..ClipVisionConfig::vit_h_14() },
    );
    for shapes in [clip::shapes(Diffusers), clip::unprefixed()] {
        assert_eq!(component(shapes, Some(full)).clip_config().unwrap(), diffusers);
    }
    let bare = component(clip::unprefixed(), Some("{}")).clip_config().unwrap();
    assert_eq!((bare.activation, bare.heads), (ClipActivation::QuickGelu, 16));
    let with = |config: &str| component(clip::unprefixed(), Some(config)).clip_config();
    assert_eq!(with(r#"{"num_attention_heads":20,"layer_norm_eps":1e-6}"#).unwrap().eps, 1e-6);
    for wrong in [
        "\"num_attention_heads\":7",
        "\"num_attention_heads\":0",
        "\"image_size\":336",
        "\"hidden_size\":1024",
        "\"num_hidden_layers\":24",
    ] {
        let result = with(&format!("{{{wrong}}}"));
        assert!(matches!(result, Err(ImportError::Conflict { .. })), "{wrong}");
    }
    for wrong in ["\"hidden_act\":\"relu\"", "\"hidden_act\":3", "\"layer_norm_eps\":0"] {
        let error = with(&format!("{{{wrong}}}")).unwrap_err();
        assert!(matches!(error, ImportError::Config { .. }), "{wrong}: {error}");
    }
}

/// Changes one shape of the released image encoder and gives the error.
fn clip_error(key: &str, shape: &[usize]) -> ImportError {
    let mut shapes = clip::unprefixed();
    shapes.0.get_mut(key).unwrap().shape = shape.into();
    component(shapes, None).clip_config().unwrap_err()
}

#[test]
fn image_encoders_that_cannot_be_are_refused() {
    let (patch, position) = ("embeddings.patch_embedding.weight", "embeddings.position_embedding.weight");
    for (key, shape, said) in [
        (patch, &[1280, 4, 14, 14][..], "three channels"),
        (patch, &[1280, 3, 14, 16], "14x16 pixels"),
        (patch, &[1024, 3, 14, 14], "heads of 80 do not divide a width of 1024"),
        (position, &[256, 1280], "256 positions"),
        (position, &[1, 1280], "1 positions"),
    ] {
        let error = clip_error(key, shape).to_string();
        assert!(error.contains(said), "{error}");
    }
    assert!(matches!(clip_error(position, &[257]), ImportError::Shape { .. }));
    let mut cut = clip::unprefixed();
    cut.0.retain(|name, _| !name.contains("mlp"));
    let error = component(cut, None).clip_config().unwrap_err();
    assert!(matches!(error, ImportError::MissingTensors { .. }), "{error}");
}

#[test]
fn shapes_that_cannot_be_are_refused() {
    let mut buckets = wan::umt5(Official);
    for info in buckets.0.iter_mut().filter(|(name, _)| name.contains("pos_embedding")).map(|(_, info)| info)
    {
        info.shape[0] = 31;
    }
    let error = component(buckets, None).text_config().unwrap_err().to_string();
    assert!(error.contains("odd number of position buckets, 31"), "{error}");
    let mut stages = wan::vae(Official);
    stages.0.get_mut("encoder.conv1.weight").unwrap().shape[0] = 90;
    let error = component(stages, None).vae_config().unwrap_err().to_string();
    assert!(error.contains("no multiples of 90"), "{error}");
    let mut time = wan::Dit::T2V_1_3B.shapes(Official);
    time.0.get_mut("time_embedding.0.weight").unwrap().shape[1] = 255;
    let error = component(time, None).dit_config().unwrap_err().to_string();
    assert!(error.contains("odd width 255"), "{error}");
}

/// A transformer's file says nothing of its heads; a configuration beside it does, if it is that file's.
#[test]
fn heads_come_from_the_configuration_beside_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let [weights, config] = ["wan.pth", "config.json"].map(|name| folder.path().join(name));
    fs::copy(Golden::path("tiny/pth/wan_t2v.pth"), &weights).unwrap();
    let good = fs::read_to_string(Golden::path("tiny/pth/config.json")).unwrap();
    let heads = |text: &str| {
        fs::write(&config, text).unwrap();
        Component::open(&weights).unwrap().dit_config().map(|config| config.heads)
    };
    assert_eq!(heads(&good).unwrap(), 2);
    let others = [
        good.replace("WanModel", "UNet2DModel"),
        good.replace("\"num_layers\": 2", "\"num_layers\": 30"),
        good.replace("\"num_heads\": 2", "\"num_heads\": 3"),
        "[".to_owned(),
    ];
    assert_eq!(Component::open(&weights).unwrap().dit_heads().unwrap(), 2);
    for other in others {
        assert_ne!(other, good);
        let error = heads(&other).unwrap_err();
        // Heads of 128 do not fit the tiny width.
        assert!(matches!(&error, ImportError::Config { path, .. } if *path == weights), "{error}");
    }
}
