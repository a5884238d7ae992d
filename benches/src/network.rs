//! Whose networks are measured: those of a named model on random weights, or those of a checkpoint.

mod filtered;
mod random;

use std::{path::Path, sync::Arc};

use burn::{
    prelude::*,
    tensor::{DType, FloatDType},
};
use wan_import::{
    Checkpoint, Component, DtypePolicy, ImportError, KeyTable, Kind, Naming, Quant, Source, Stored,
    TensorSource, load_network,
};
use wan_model::{ModelKind, VaeConfig, VaeDecoder, VaeEncoder, WanConfig, WanTransformer};

use crate::fill;
use filtered::WithoutBlocks;
pub use random::RandomWeights;

/// A released model by the name that flags and results have for it.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    pub name: &'static str,
    config: fn() -> WanConfig,
}

impl Preset {
    pub const ALL: [Self; 6] = [
        Self { name: "t2v-1.3b", config: WanConfig::t2v_1_3b },
        Self { name: "t2v-14b", config: WanConfig::t2v_14b },
        Self { name: "i2v-14b", config: WanConfig::i2v_14b },
        Self { name: "i2v-a14b", config: WanConfig::i2v_a14b },
        Self { name: "ti2v-5b", config: WanConfig::ti2v_5b },
        Self { name: "lingbot-a14b", config: WanConfig::lingbot_base_cam },
    ];

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.name == name)
    }

    /// Dimensions of its transformer, or of one of its two.
    pub fn config(self) -> WanConfig {
        (self.config)()
    }
}

/// How weights of a transformer are held.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Form {
    /// Of matmul inputs and weights.
    pub dtype: FloatDType,
    /// In how many bits the large layers are held instead.
    pub quant: Option<Quant>,
}

impl Form {
    /// Everything in f32.
    pub const F32: Self = Self { dtype: FloatDType::F32, quant: None };

    pub fn dtype_name(self) -> &'static str {
        DType::from(self.dtype).name()
    }

    /// `none`, `int8` or `nf4`.
    pub fn quant_name(self) -> &'static str {
        self.quant.map_or("none", Quant::name)
    }

    /// Bytes of one value of a large layer, its share of scales included.
    pub fn bytes_per_value(self) -> f64 {
        match self.quant {
            None => DType::from(self.dtype).size() as f64,
            Some(Quant::Int8) => 1.0 + 2.0 / 256.0,
            Some(Quant::Nf4) => 0.516,
        }
    }

    pub(crate) fn policy(self, device: &Device) -> DtypePolicy {
        let half_scales = device.supports_dtype(DType::F16);
        DtypePolicy { quant: self.quant, half_scales, ..DtypePolicy::float(self.dtype) }
    }
}

/// The networks of one model.
#[derive(Clone, Debug)]
pub struct Networks {
    /// The preset's name, or the checkpoint's path.
    pub name: String,
    weights: Weights,
}

#[derive(Clone, Debug)]
enum Weights {
    Random(Preset),
    Model(Box<Checkpoint>),
    /// A transformer or an autoencoder alone.
    Component(Component),
}

impl Networks {
    /// Those of a preset, on random weights.
    pub fn random(preset: Preset) -> Self {
        Self { name: preset.name.to_owned(), weights: Weights::Random(preset) }
    }

    /// Those of a model's folder, or of one component.
    ///
    /// # Errors
    /// As [`Checkpoint::open`] and [`Component::open`].
    pub fn open(path: &Path) -> Result<Self, ImportError> {
        let name = path.display().to_string();
        let source = Source { model: Some(path.to_owned()), ..Source::default() };
        let model = || Checkpoint::open(&source).map(|model| Weights::Model(Box::new(model)));
        let component = || Component::open(path).map(Weights::Component);
        // A component's own folder is no model, but has a network all the same.
        let weights = match path.is_dir() {
            true => model().or_else(|error| component().map_err(|_| error)),
            false => component(),
        };
        Ok(Self { name, weights: weights? })
    }

    /// Dimensions of the transformer.
    ///
    /// # Errors
    /// As [`Component::dit_config`].
    pub fn dit_config(&self) -> Result<WanConfig, ImportError> {
        match &self.weights {
            Weights::Random(preset) => Ok(preset.config()),
            Weights::Model(model) => Ok(model.dit_config.clone()),
            Weights::Component(component) => component.dit_config(),
        }
    }

    /// The first `blocks` blocks of the transformer as a network, its weights held in `form`; all of them distinct.
    ///
    /// # Errors
    /// As [`load_network`].
    pub fn transformer(
        &self,
        blocks: usize,
        form: Form,
        device: &Device,
    ) -> Result<WanTransformer, ImportError> {
        let config = WanConfig { layers: blocks, ..self.dit_config()? };
        let module = WanTransformer::new(&config, device);
        let (source, keys) = self.tensors(&module, blocks, form);
        load_network(module, "", &*source, &keys, &form.policy(device), device)
    }

    fn tensors(
        &self,
        module: &WanTransformer,
        blocks: usize,
        form: Form,
    ) -> (Arc<dyn TensorSource>, KeyTable) {
        let component = match &self.weights {
            Weights::Random(_) => {
                let keys = KeyTable::dit(Naming::Official, "");
                let weights = RandomWeights::of(module, &keys, &stored(form));
                return (Arc::new(weights), keys);
            }
            Weights::Model(model) => &model.dit,
            Weights::Component(component) => component,
        };
        let source = WithoutBlocks::from(component.source.clone(), blocks);
        (Arc::new(source), component.dit_keys())
    }

    /// The autoencoder's shape; that of Wan 2.2 for TI2V, of Wan 2.1 for all others.
    ///
    /// # Errors
    /// As [`Component::vae_config`].
    pub fn vae_config(&self) -> Result<VaeConfig, ImportError> {
        match &self.weights {
            Weights::Random(preset) if preset.config().kind == ModelKind::Ti2v => Ok(VaeConfig::wan_2_2()),
            Weights::Random(_) => Ok(VaeConfig::wan_2_1()),
            Weights::Model(model) => Ok(model.vae_config.clone()),
            Weights::Component(component) => component.vae_config(),
        }
    }

    /// The half of the autoencoder that makes pixels, in f32.
    ///
    /// # Errors
    /// As [`wan_import::load_module`].
    pub fn decoder(&self, device: &Device) -> Result<VaeDecoder, ImportError> {
        match &self.weights {
            Weights::Random(_) => Ok(fill(VaeDecoder::new(&self.vae_config()?, device))),
            Weights::Model(model) => model.load_vae_decoder(device),
            Weights::Component(component) => component.load_vae_decoder(device),
        }
    }

    /// The half of the autoencoder that makes latents, in f32.
    ///
    /// # Errors
    /// As [`wan_import::load_module`].
    pub fn encoder(&self, device: &Device) -> Result<VaeEncoder, ImportError> {
        match &self.weights {
            Weights::Random(_) => Ok(fill(VaeEncoder::new(&self.vae_config()?, device))),
            Weights::Model(model) => model.load_vae_encoder(device),
            Weights::Component(component) => component.load_vae_encoder(device),
        }
    }

    /// The components that can be loaded from disk, by name.
    pub fn components(&self) -> Vec<(&'static str, &Component)> {
        match &self.weights {
            Weights::Random(_) => Vec::new(),
            Weights::Model(model) => {
                let high = model.dit_high.as_ref().map(|high| ("transformer for high noise", high));
                let image = model.image_encoder.as_ref().map(|encoder| ("image encoder", encoder));
                let all =
                    [("transformer", &model.dit), ("VAE", &model.vae), ("text encoder", &model.text_encoder)];
                all.into_iter().chain(high).chain(image).collect()
            }
            Weights::Component(component) => {
                let name = match component.fingerprint.kind {
                    Kind::Dit(_) => "transformer",
                    Kind::Vae21 | Kind::Vae22 => "VAE",
                    Kind::Umt5 => "text encoder",
                    _ => "component",
                };
                vec![(name, component)]
            }
        }
    }
}

/// The dtype in which random weights are drawn, so that loading them changes nothing; weights that are quantized are
/// drawn in f32.
fn stored(form: Form) -> Stored {
    match (form.quant, form.dtype) {
        (None, FloatDType::F16) => Stored::F16,
        (None, FloatDType::BF16) => Stored::Bf16,
        _ => Stored::F32,
    }
}
