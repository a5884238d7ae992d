//! Models of one and of two transformers, as folders and as single files, with toy networks inside.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use support::model::{self, Model, WEIGHTS, dit, toy};
use wan_import::{
    Checkpoint, Component, DtypePolicy, ImportError,
    Naming::{Diffusers, Official},
    PipelineConfig, Source,
};
use wan_model::{ModelKind, WanConfig};

const HIGH: &str = "wan2.2_i2v_high_noise_14B_fp16.safetensors";
const LOW: &str = "wan2.2_i2v_low_noise_14B_fp16.safetensors";

fn t2v() -> WanConfig {
    toy(ModelKind::T2v, 16, 16)
}

fn i2v() -> WanConfig {
    toy(ModelKind::I2v, 36, 16)
}

fn lingbot() -> WanConfig {
    toy(ModelKind::LingBot { control_dim: 6, causal: false }, 36, 16)
}

fn in_folders(model: Model, [high, low]: [&str; 2], config: &WanConfig) -> Model {
    model.with(&format!("{high}/{WEIGHTS}"), config).with(&format!("{low}/{WEIGHTS}"), config)
}

fn official_pair(config: &WanConfig) -> Model {
    in_folders(Model::official(), ["high_noise_model", "low_noise_model"], config)
}

/// A model's folder without a transformer, and two single files.
fn loose(config: &WanConfig) -> Model {
    let model = Model::official();
    for name in [HIGH, LOW] {
        model.tensors(&format!("files/{name}"), &dit(config, Official));
    }
    model
}

fn assert_pair(checkpoint: &Checkpoint, low: &Path, high: &Path) {
    let [found_low, found_high] = [false, true].map(|high| checkpoint.expert(high).source.path());
    assert_eq!((found_low, found_high), (low, high));
    assert!(checkpoint.dit_high.is_some() && checkpoint.dit_config.experts == 2);
}

fn assert_missing(error: &ImportError, name: &str, place: Option<PathBuf>, flag: &str) {
    let place = place.map_or("given".to_owned(), |place| format!("found; looked for {}", place.display()));
    assert_eq!(error.to_string(), format!("no transformer for {name} noise {place}"));
    let hint = error.hint().unwrap();
    assert!(hint.starts_with(&format!("give its path with {flag}, or the same file")), "{hint}");
}

#[test]
fn a_diffusers_folder_has_high_noise_first() {
    let model = in_folders(Model::diffusers(), ["transformer", "transformer_2"], &t2v());
    let [high, low] = ["transformer", "transformer_2"].map(|folder| model.at(folder).join(WEIGHTS));
    model::write(&high, &dit(&t2v(), Diffusers), 1);
    model.text("model_index.json", r#"{"_class_name":"WanPipeline","boundary_ratio":0.875}"#);
    let checkpoint = model.open().unwrap();
    assert_pair(&checkpoint, &low, &high);
    assert_eq!(checkpoint.pipeline.boundary_ratio, Some(0.875));
    assert_eq!(checkpoint.pipeline.expand_timesteps, None);
    assert!(!checkpoint.experts_look_swapped());
    let first = |high| checkpoint.expert(high).source.data("proj_out.bias").unwrap()[0];
    assert_eq!((first(true), first(false)), (1, 0));
    for high in [false, true] {
        checkpoint.load_expert(high, &DtypePolicy::F32, &Device::flex()).unwrap();
    }
    std::fs::remove_file(&low).unwrap();
    assert_missing(&model.open().unwrap_err(), "low", Some(model.at("transformer_2")), "--dit");
}

#[test]
fn an_official_folder_has_a_folder_for_each() {
    for config in [t2v(), i2v(), lingbot()] {
        let model = official_pair(&config);
        let [high, low] =
            ["high_noise_model", "low_noise_model"].map(|folder| model.at(folder).join(WEIGHTS));
        let checkpoint = model.open().unwrap();
        assert_pair(&checkpoint, &low, &high);
        assert_eq!(checkpoint.dit_config.kind, config.kind);
        assert!(!checkpoint.experts_look_swapped());
        std::fs::remove_dir_all(model.at("high_noise_model")).unwrap();
        assert_missing(&model.open().unwrap_err(), "high", Some(model.at("high_noise_model")), "--dit-high");
    }
}

#[test]
fn one_transformer_is_enough_for_text_alone() {
    let text = Model::official().with(WEIGHTS, &t2v()).open().unwrap();
    assert!(text.dit_high.is_none() && text.dit_config.experts == 1);
    assert_eq!(text.expert(true).source.path(), text.dit.source.path());
    for config in [i2v(), lingbot()] {
        let model = Model::official().with(WEIGHTS, &config);
        assert_missing(&model.open().unwrap_err(), "high", Some(model.at("high_noise_model")), "--dit-high");
        let file = Some(model.at(WEIGHTS));
        let both = Source { dit: file.clone(), dit_high: file, ..model.source() };
        let checkpoint = Checkpoint::open(&both).unwrap();
        assert_pair(&checkpoint, &model.at(WEIGHTS), &model.at(WEIGHTS));
        assert!(!checkpoint.experts_look_swapped());
    }
    let half = Model::diffusers().with(&format!("transformer/{WEIGHTS}"), &i2v());
    assert_missing(&half.open().unwrap_err(), "low", Some(half.at("transformer_2")), "--dit");
}

#[test]
fn the_sibling_of_a_single_file_is_found_by_name() {
    let model = loose(&i2v());
    let [high, low] = [HIGH, LOW].map(|name| model.at("files").join(name));
    for given in [&high, &low] {
        let dit = Source { dit: Some(given.clone()), ..model.source() };
        let dit_high = Source { dit_high: Some(given.clone()), ..model.source() };
        for source in [dit, dit_high] {
            let checkpoint = Checkpoint::open(&source).unwrap();
            assert_pair(&checkpoint, &low, &high);
            assert!(!checkpoint.experts_look_swapped());
        }
    }
    let folders = official_pair(&i2v());
    let model = Model::official();
    let given = Source { dit: Some(folders.at("high_noise_model")), ..model.source() };
    let [high, low] = ["high_noise_model", "low_noise_model"].map(|folder| folders.at(folder).join(WEIGHTS));
    assert_pair(&Checkpoint::open(&given).unwrap(), &low, &high);
    let given = Source { dit_high: Some(high.clone()), ..model.source() };
    assert_pair(&Checkpoint::open(&given).unwrap(), &low, &high);
}

#[test]
fn flags_win_over_names_and_the_contradiction_is_told() {
    let model = loose(&i2v());
    let [high, low] = [HIGH, LOW].map(|name| model.at("files").join(name));
    let given = |dit: &PathBuf, dit_high: &PathBuf| {
        let source = Source { dit: Some(dit.clone()), dit_high: Some(dit_high.clone()), ..model.source() };
        Checkpoint::open(&source).unwrap()
    };
    assert!(!given(&low, &high).experts_look_swapped());
    let swapped = given(&high, &low);
    assert_pair(&swapped, &high, &low);
    assert!(swapped.experts_look_swapped());
    assert!(!given(&high, &high).experts_look_swapped());
    let plain = model.at("plain.safetensors");
    std::fs::copy(&low, &plain).unwrap();
    assert!(given(&plain, &low).experts_look_swapped());
    assert!(!given(&plain, &high).experts_look_swapped());
}

#[test]
fn a_file_without_its_sibling_names_the_other() {
    for (name, other, side, flag) in [(HIGH, LOW, "low", "--dit"), (LOW, HIGH, "high", "--dit-high")] {
        let model = loose(&i2v());
        std::fs::remove_file(model.at("files").join(other)).unwrap();
        let given = Source { dit: Some(model.at("files").join(name)), ..model.source() };
        let error = Checkpoint::open(&given).unwrap_err();
        assert_missing(&error, side, Some(model.at("files").join(other)), flag);
        model.tensors(&format!("files/{name}"), &dit(&t2v(), Official));
        assert!(Checkpoint::open(&given).unwrap().dit_high.is_none(), "text alone needs no second");
    }
    let model = loose(&i2v());
    std::fs::rename(model.at("files").join(HIGH), model.at("plain.safetensors")).unwrap();
    let plain = Some(model.at("plain.safetensors"));
    let high = Source { dit_high: plain.clone(), ..model.source() };
    assert_missing(&Checkpoint::open(&high).unwrap_err(), "low", None, "--dit");
    let only = Source { dit: plain, ..model.source() };
    assert_missing(&Checkpoint::open(&only).unwrap_err(), "high", None, "--dit-high");
}

#[test]
fn a_given_transformer_takes_the_folders_place() {
    let model = official_pair(&t2v()).with("plain.safetensors", &t2v()).with("my_high.safetensors", &t2v());
    let [high, low] = ["high_noise_model", "low_noise_model"].map(|folder| model.at(folder).join(WEIGHTS));
    let [plain, my_high] = ["plain.safetensors", "my_high.safetensors"].map(|name| model.at(name));
    let open = |dit: Option<&PathBuf>, dit_high: Option<&PathBuf>| {
        Checkpoint::open(&Source { dit: dit.cloned(), dit_high: dit_high.cloned(), ..model.source() })
            .unwrap()
    };
    assert_pair(&open(Some(&plain), None), &plain, &high);
    assert_pair(&open(None, Some(&plain)), &low, &plain);
    assert_pair(&open(Some(&my_high), None), &low, &my_high);
    assert_pair(&open(Some(&plain), Some(&my_high)), &plain, &my_high);
    let single = Model::official().with(WEIGHTS, &t2v());
    let given = Source { dit_high: Some(plain.clone()), ..single.source() };
    assert_pair(&Checkpoint::open(&given).unwrap(), &single.at(WEIGHTS), &plain);
    let given = Source { dit: Some(plain), ..single.source() };
    assert!(Checkpoint::open(&given).unwrap().dit_high.is_none());
}

#[test]
fn experts_of_different_models_are_refused() {
    let deeper = WanConfig { layers: 3, ..i2v() };
    for (other, what) in [
        (t2v(), "kind i2v-a14b against t2v"),
        (deeper, "layers 2 against 3"),
        (WanConfig { dim: 384, ..i2v() }, "width 256 against 384"),
    ] {
        let model = official_pair(&i2v()).with(&format!("low_noise_model/{WEIGHTS}"), &other);
        let error = model.open().unwrap_err();
        assert!(error.to_string().ends_with(&format!("are not two experts of one model: {what}")), "{error}");
        assert_eq!(error.hint().unwrap(), "take both from the same model");
    }
    let model = official_pair(&i2v());
    model.text("low_noise_model/config.json", r#"{"eps":1e-5}"#);
    let error = model.open().unwrap_err();
    assert!(matches!(&error, ImportError::ExpertsDiffer { what: "eps", .. }), "{error}");
}

#[test]
fn the_autoencoder_must_fit_the_transformer() {
    let ti2v = toy(ModelKind::Ti2v, 48, 48);
    for (config, what) in [
        (i2v(), "48 latent channels against 16"),
        (lingbot(), "48 latent channels against 16"),
        (t2v(), "48 latent channels against 16"),
    ] {
        let model = official_pair(&config);
        model.tensors("Wan2.1_VAE.safetensors", &model::vae22(Official));
        let error = model.open().unwrap_err();
        assert!(matches!(error, ImportError::Mismatch { .. }), "{error}");
        assert!(error.to_string().ends_with(what), "{error}");
    }
    let error = Model::official().with(WEIGHTS, &ti2v).open().unwrap_err();
    assert!(error.to_string().ends_with("16 latent channels against 48"), "{error}");
    let narrow = WanConfig { in_dim: 35, ..lingbot() };
    let error = official_pair(&narrow).open().unwrap_err();
    assert!(error.to_string().ends_with("35 channels in against 36"), "{error}");
}

/// A LingBot token's control values are those of 8x8 pixels per latent pixel.
#[test]
fn a_camera_needs_the_autoencoders_stride() {
    let model = official_pair(&lingbot());
    let vae = model::vae22(Official).resized(|n| if n == 48 || n == 96 { n / 3 } else { n });
    model.tensors(&format!("vae/{WEIGHTS}"), &vae);
    let statistics = |value: &str| vec![value; 16].join(",");
    let config = format!(r#"{{"latents_mean":[{}],"latents_std":[{}]}}"#, statistics("0"), statistics("1"));
    model.text("vae/config.json", &config);
    let open = |model: &Model| Checkpoint::open(&Source { vae: Some(model.at("vae")), ..model.source() });
    let error = open(&model).unwrap_err();
    assert!(error.to_string().ends_with("16 pixels per latent column against 8"), "{error}");
    let model = model.with(&format!("low_noise_model/{WEIGHTS}"), &i2v());
    let model = model.with(&format!("high_noise_model/{WEIGHTS}"), &i2v());
    open(&model).unwrap();
}

#[test]
fn of_two_autoencoders_the_fitting_one_is_taken() {
    for (config, name) in
        [(t2v(), "Wan2.1_VAE.safetensors"), (toy(ModelKind::Ti2v, 48, 48), "Wan2.2_VAE.safetensors")]
    {
        let model = Model::official().with(WEIGHTS, &config);
        model.tensors("Wan2.2_VAE.safetensors", &model::vae22(Official));
        let checkpoint = model.open().unwrap();
        assert_eq!(checkpoint.vae.source.path(), model.at(name));
        checkpoint.load_vae_encoder(&Device::flex()).unwrap();
    }
    let model = Model::diffusers().with(&format!("transformer/{WEIGHTS}"), &toy(ModelKind::Ti2v, 48, 48));
    model.tensors(&format!("vae/{WEIGHTS}"), &model::vae22(Diffusers));
    model.text("model_index.json", r#"{"boundary_ratio":null,"expand_timesteps":true}"#);
    let checkpoint = model.open().unwrap();
    let expected = PipelineConfig { boundary_ratio: None, expand_timesteps: Some(true) };
    assert_eq!((checkpoint.pipeline, checkpoint.vae_config.z_dim), (expected, 48));
}

#[test]
fn a_pipeline_that_makes_no_sense_is_refused() {
    let model = Model::diffusers().with(&format!("transformer/{WEIGHTS}"), &t2v());
    for text in ["[", "3", r#"{"boundary_ratio":"0.9"}"#, r#"{"expand_timesteps":1}"#] {
        model.text("model_index.json", text);
        let error = model.open().unwrap_err();
        assert!(matches!(&error, ImportError::Config { path, .. } if *path == model.at("model_index.json")));
    }
}

#[test]
fn causal_models_are_known_by_their_configuration() {
    let model = official_pair(&lingbot());
    for (config, class) in [
        (r#"{"_class_name":"CausalWanModel"}"#, "CausalWanModel"),
        (r#"{"_class_name":"WanModel","model_type":"i2v_causal"}"#, "i2v_causal"),
    ] {
        model.text("high_noise_model/config.json", config);
        let error = model.open().unwrap_err();
        assert!(matches!(error, ImportError::NotRunnable { .. }), "{error}");
        assert!(error.to_string().contains(&format!("runs chunk by chunk ({class})")), "{error}");
    }
    let single = Model::official().with("fast.safetensors", &lingbot());
    single.text("config.json", r#"{"_class_name":"CausalWanModel"}"#);
    let file = Some(single.at("fast.safetensors"));
    let given = Source { dit: file.clone(), dit_high: file, ..single.source() };
    assert!(matches!(Checkpoint::open(&given), Err(ImportError::NotRunnable { .. })));
}

#[test]
fn causal_models_are_known_by_their_folder() {
    for folder in ["transformers", "transformer_causal"] {
        let model = Model::official().with(&format!("{folder}/{WEIGHTS}"), &lingbot());
        let error = model.open().unwrap_err();
        assert!(
            matches!(&error, ImportError::NotRunnable { path, .. } if path.starts_with(model.at(folder)))
        );
        assert!(error.to_string().contains("a causal LingBot-World model"), "{error}");
        model.tensors(WEIGHTS, &dit(&t2v(), Official));
        model.open().unwrap();
    }
}

/// Which pages the system then holds is its own affair.
#[test]
fn reading_ahead_changes_nothing() {
    let model = Model::official().with(WEIGHTS, &t2v());
    let component = Component::open(&model.at(WEIGHTS)).unwrap();
    let bytes = |component: &Component| component.source.data("head.head.weight").unwrap().to_vec();
    let before = bytes(&component);
    component.read_ahead();
    component.release();
    component.read_ahead();
    assert_eq!(bytes(&component), before);
    component.load_transformer(&DtypePolicy::F32, &Device::flex()).unwrap();
}
