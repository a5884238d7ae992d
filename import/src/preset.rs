//! Released models without their files, for questions that names, shapes and dtypes answer.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use burn::{module::Module, prelude::*};
use wan_model::{
    ClipVision, ClipVisionConfig, ModelKind, VaeConfig, VaeDecoder, VaeEncoder, WanConfig, WanTransformer,
    text::{Umt5Config, Umt5Encoder},
};

use crate::{
    Checkpoint, Component, DitFacts, DitVariant, DtypePolicy, Fingerprint, GenerationConfig, KeyTable, Kind,
    Layout, Naming, PipelineConfig, Stored, TensorBytes, TensorInfo, TensorSource, keys, load::Planner,
};

impl Checkpoint {
    /// A model with the transformer `config`, or two of them, as its authors would publish it: weights of transformers in
    /// `stored`, umT5 in bf16, CLIP in f16 and the autoencoder in f32. Nothing can be loaded from it: no tensor has
    /// values.
    pub fn imagined(config: WanConfig, stored: &Stored) -> Self {
        let wide = config.kind == ModelKind::Ti2v;
        let vae = if wide { VaeConfig::wan_2_2() } else { VaeConfig::wan_2_1() };
        Self::imagined_of(config, Umt5Config::xxl(), vae, stored)
    }

    /// [`Self::imagined`] with other text encoders and autoencoders than the authors'.
    pub fn imagined_of(
        dit_config: WanConfig,
        text_config: Umt5Config,
        vae_config: VaeConfig,
        stored: &Stored,
    ) -> Self {
        let clip_config = dit_config.image_dim().map(|_| ClipVisionConfig::vit_h_14());
        let dit = transformer(&dit_config, stored);
        let kind = if vae_config.residual { Kind::Vae22 } else { Kind::Vae21 };
        Self {
            layout: Layout::Official,
            dit_high: (dit_config.experts == 2).then(|| dit.clone()),
            dit,
            dit_config,
            vae: autoencoder(&vae_config, kind),
            vae_config,
            text_encoder: text_encoder(&text_config),
            text_config,
            image_encoder: clip_config.as_ref().map(image_encoder),
            clip_config,
            tokenizer: PathBuf::new(),
            scheduler: None,
            generation: GenerationConfig::default(),
            pipeline: PipelineConfig::default(),
        }
    }
}

fn variant(kind: &ModelKind) -> DitVariant {
    match kind {
        ModelKind::T2v => DitVariant::T2v,
        ModelKind::ClipI2v { .. } => DitVariant::I2vClip,
        ModelKind::Flf2v { .. } => DitVariant::Flf2v,
        ModelKind::I2v => DitVariant::I2vA14b,
        ModelKind::Vace { .. } => DitVariant::Vace,
        ModelKind::Ti2v => DitVariant::Ti2v5b,
        ModelKind::S2v => DitVariant::S2v,
        ModelKind::Animate => DitVariant::Animate,
        ModelKind::LingBot { .. } => DitVariant::Lingbot,
    }
}

fn transformer(config: &WanConfig, stored: &Stored) -> Component {
    let &WanConfig { dim, ffn_dim, layers, in_dim, out_dim, text_dim, freq_dim, .. } = config;
    let variant = variant(&config.kind);
    let facts = DitFacts { variant, dim, ffn_dim, layers, in_dim, out_dim, text_dim, freq_dim };
    let mut source = Imagined::new("the transformer");
    let module = WanTransformer::new(config, &Device::flex());
    source.add(&module, &KeyTable::dit(Naming::Official, ""), stored);
    source.component(Kind::Dit(facts))
}

fn autoencoder(config: &VaeConfig, kind: Kind) -> Component {
    let (device, mut source) = (Device::flex(), Imagined::new("the autoencoder"));
    let encoder = KeyTable::vae_encoder(Naming::Official, config.into());
    source.add(&VaeEncoder::new(config, &device), &encoder, &Stored::F32);
    let decoder = KeyTable::vae_decoder(Naming::Official, config.into());
    source.add(&VaeDecoder::new(config, &device), &decoder, &Stored::F32);
    source.component(kind)
}

fn text_encoder(config: &Umt5Config) -> Component {
    let mut source = Imagined::new("the text encoder");
    let module = Umt5Encoder::new(config, &Device::flex());
    source.add(&module, &KeyTable::umt5(Naming::Official), &Stored::Bf16);
    let tokens = keys::token_keys(Naming::Official).iter().map(|&key| key.to_owned());
    let shape = vec![config.vocab, config.d_model];
    source.tensors.extend(tokens.map(|key| (key, info(shape.clone(), &Stored::Bf16))));
    source.component(Kind::Umt5)
}

fn image_encoder(config: &ClipVisionConfig) -> Component {
    let prefix = "visual.";
    let keys = KeyTable::clip(Naming::Official, prefix, config.layers);
    let mut source = Imagined::new("the image encoder");
    source.add(&ClipVision::new(config, &Device::flex()), &keys, &Stored::F16);
    let mut component = source.component(Kind::Clip);
    component.fingerprint.prefix = prefix.to_owned();
    component
}

fn info(shape: Vec<usize>, stored: &Stored) -> TensorInfo {
    let bytes = shape.iter().product::<usize>() * stored.size().unwrap_or(0);
    TensorInfo { shape, dtype: stored.clone(), bytes }
}

/// Tensors without values.
#[derive(Debug)]
struct Imagined {
    path: PathBuf,
    tensors: BTreeMap<String, TensorInfo>,
}

impl Imagined {
    fn new(what: &str) -> Self {
        Self { path: what.into(), tensors: BTreeMap::new() }
    }

    /// The tensors of `module`, all in one dtype.
    fn add<M: Module>(&mut self, module: &M, keys: &KeyTable, stored: &Stored) {
        let wanted = Planner::of(module, "", keys, &DtypePolicy::F32).wanted;
        self.tensors.extend(wanted.into_values().map(|wanted| (wanted.key, info(wanted.shape, stored))));
    }

    fn component(self, kind: Kind) -> Component {
        let (naming, prefix, evidence) = (Naming::Official, String::new(), Vec::new());
        Component {
            source: Arc::new(self),
            config: None,
            fingerprint: Fingerprint { kind, naming, prefix, evidence },
        }
    }
}

impl TensorSource for Imagined {
    fn path(&self) -> &Path {
        &self.path
    }

    fn names(&self) -> Vec<&str> {
        self.tensors.keys().map(String::as_str).collect()
    }

    fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.get(name)
    }

    fn data(&self, _name: &str) -> Option<TensorBytes> {
        None
    }
}
