//! A real tiny checkpoint with one thing wrong, refused by name.
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
};

use burn::prelude::*;
use safetensors::SafeTensors;
use support::{Named, write};
use testkit::Golden;
use wan_import::{Checkpoint, DtypePolicy, ImportError, Source};

const FIRST: &str = "diffusion_pytorch_model-00001-of-00002.safetensors";
const INDEX: &str = "diffusion_pytorch_model.safetensors.index.json";

/// A copy of the official folder.
struct Model(tempfile::TempDir);

impl Model {
    fn new() -> Self {
        let model = Self(tempfile::tempdir().unwrap());
        let official = Golden::path("tiny/official");
        fs::create_dir_all(model.at("google/umt5-xxl")).unwrap();
        let files = ["config.json", INDEX, FIRST, "diffusion_pytorch_model-00002-of-00002.safetensors"];
        let others = ["Wan2.1_VAE.pth", "models_t5_umt5-xxl-enc-bf16.pth", "google/umt5-xxl/tokenizer.json"];
        for file in files.into_iter().chain(others) {
            fs::copy(official.join(file), model.at(file)).unwrap();
        }
        model
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn open(&self) -> Result<Checkpoint, ImportError> {
        Checkpoint::open(&Source { model: Some(self.0.path().into()), ..Source::default() })
    }

    fn load(&self) -> Result<(), ImportError> {
        self.open()?.load_transformer(&DtypePolicy::F32, &Device::flex()).map(drop)
    }

    /// Writes the first shard again, its tensors changed by `change`.
    fn rewrite(&self, change: impl FnOnce(&mut Vec<Named>)) {
        let bytes = fs::read(self.at(FIRST)).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let tensors = file.iter();
        let mut tensors: Vec<Named> =
            tensors.map(|(name, t)| (name, t.dtype(), t.shape().to_vec(), t.data().to_vec())).collect();
        change(&mut tensors);
        write(&self.at(FIRST), &tensors);
    }

    /// Takes `key` out of the index.
    fn forget(&self, key: &str) {
        let mut index: serde_json::Value =
            serde_json::from_slice(&fs::read(self.at(INDEX)).unwrap()).unwrap();
        assert!(index["weight_map"].as_object_mut().unwrap().remove(key).is_some());
        fs::write(self.at(INDEX), index.to_string()).unwrap();
    }
}

const KEY: &str = "blocks.0.self_attn.q.weight";

fn assert_names(error: &ImportError, path: &Path, what: &str) {
    let text = error.to_string();
    assert!(text.contains(path.to_str().unwrap()) && text.contains(what), "{text}");
}

#[test]
fn the_untouched_copy_loads() {
    assert!(Model::new().load().is_ok());
}

#[test]
fn a_nan_is_named() {
    let model = Model::new();
    model.rewrite(|tensors| {
        let (.., bytes) = tensors.iter_mut().find(|(name, ..)| *name == KEY).unwrap();
        bytes[400..404].copy_from_slice(&f32::NAN.to_le_bytes());
    });
    assert!(model.open().is_ok());
    let error = model.load().unwrap_err();
    assert!(matches!(&error, ImportError::NonFinite { key, .. } if key == KEY), "{error}");
    assert_names(&error, &model.at(INDEX), KEY);
}

#[test]
fn a_truncated_shard_is_named() {
    let model = Model::new();
    let whole = fs::read(model.at(FIRST)).unwrap();
    for length in [0, 7, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(model.at(FIRST), &whole[..length]).unwrap();
        let error = model.open().unwrap_err();
        assert!(matches!(error, ImportError::Format { .. }), "{length} bytes: {error}");
        assert_names(&error, &model.at(FIRST), "safetensors");
    }
    fs::remove_file(model.at(FIRST)).unwrap();
    assert_names(&model.open().unwrap_err(), &model.at(FIRST), "");
}

#[test]
fn a_missing_tensor_is_named() {
    let model = Model::new();
    model.rewrite(|tensors| tensors.retain(|(name, ..)| *name != KEY));
    // The index still promises it.
    assert_names(&model.open().unwrap_err(), &model.at(INDEX), &format!("{KEY} is not in {FIRST}"));
    model.forget(KEY);
    let error = model.load().unwrap_err();
    assert!(
        matches!(&error, ImportError::MissingTensors { count: 1, first, .. } if first == &[KEY]),
        "{error}"
    );
    assert_names(&error, &model.at(INDEX), KEY);
}
