//! Models as people have them on disk, with toy networks inside.

use std::path::{Path, PathBuf};

use safetensors::Dtype;
use wan_import::{
    Checkpoint, ImportError, Layout,
    Naming::{self, Diffusers, Official},
    Source,
};
use wan_model::{ModelKind, WanConfig};

use super::{Shapes, presets, vae22, wan};

/// A model's folder, which goes when this does.
pub struct Model {
    folder: tempfile::TempDir,
    layout: Layout,
}

/// A small transformer of a kind.
pub fn toy(kind: ModelKind, in_dim: usize, out_dim: usize) -> WanConfig {
    WanConfig { kind, dim: 256, ffn_dim: 8, heads: 2, layers: 2, in_dim, out_dim, ..WanConfig::t2v_1_3b() }
}

/// Its file, for text rows as [`umt5`] gives them.
pub fn dit(config: &WanConfig, naming: Naming) -> Shapes {
    presets::shapes(config, naming).resized(|n| if n == 4096 { 64 } else { n })
}

/// The same network with smaller sizes.
pub fn shrunk(shapes: Shapes, by: usize) -> Shapes {
    shapes.resized(|n| if n > by && n.is_multiple_of(by) { n / by } else { n })
}

pub fn umt5(naming: Naming) -> Shapes {
    shrunk(wan::umt5(naming), 64)
}

pub fn vae(naming: Naming) -> Shapes {
    shrunk(wan::vae(naming), 48)
}

/// Wan 2.2's autoencoder, whose moments keep their 96 channels.
pub fn vae22(naming: Naming) -> Shapes {
    vae22::shapes(naming).resized(|n| if n >= 160 && n.is_multiple_of(32) { n / 32 } else { n })
}

/// A file with every tensor of `shapes`, every byte of it `fill`.
pub fn write(path: &Path, shapes: &Shapes, fill: u8) {
    let tensors: Vec<_> = shapes.0.iter().map(|(name, info)| (name.as_str(), &info.shape)).collect();
    let tensors: Vec<_> = tensors
        .into_iter()
        .map(|(name, shape)| {
            (name, Dtype::F32, shape.clone(), vec![fill; 4 * shape.iter().product::<usize>()])
        })
        .collect();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    super::write(path, &tensors);
}

pub const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";

impl Model {
    /// One folder for each component, all but the transformer.
    pub fn diffusers() -> Self {
        let model = Self { folder: tempfile::tempdir().unwrap(), layout: Layout::Diffusers };
        model.tensors(&format!("vae/{WEIGHTS}"), &vae(Diffusers));
        model.tensors("text_encoder/model.safetensors", &umt5(Diffusers));
        model.text("model_index.json", "{}");
        model.text("tokenizer/tokenizer.json", "{}");
        model
    }

    /// All in one folder, all but the transformer.
    pub fn official() -> Self {
        let model = Self { folder: tempfile::tempdir().unwrap(), layout: Layout::Official };
        model.tensors("Wan2.1_VAE.safetensors", &vae(Official));
        model.tensors("models_t5_toy.safetensors", &umt5(Official));
        model.text("google/umt5-xxl/tokenizer.json", "{}");
        model
    }

    /// The same with a transformer at `name`.
    pub fn with(self, name: &str, config: &WanConfig) -> Self {
        let naming = if self.layout == Layout::Diffusers { Diffusers } else { Official };
        self.tensors(name, &dit(config, naming));
        self
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn text(&self, name: &str, text: &str) {
        std::fs::create_dir_all(self.at(name).parent().unwrap()).unwrap();
        std::fs::write(self.at(name), text).unwrap();
    }

    pub fn tensors(&self, name: &str, shapes: &Shapes) {
        write(&self.at(name), shapes, 0);
    }

    pub fn source(&self) -> Source {
        Source { model: Some(self.folder.path().into()), ..Source::default() }
    }

    pub fn open(&self) -> Result<Checkpoint, ImportError> {
        let checkpoint = Checkpoint::open(&self.source())?;
        assert_eq!(checkpoint.layout, self.layout);
        Ok(checkpoint)
    }
}
