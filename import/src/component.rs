//! One network on disk: its tensors, what it is, and its configuration.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::Value;
use wan_model::{ClipVisionConfig, VaeConfig, WanConfig, text::Umt5Config};

use crate::{
    Fingerprint, ImportError, KeyTable, Kind, Packed, Quant, TensorSource, TokenTable,
    config::{self, Settings},
    json, locate, source,
};

/// What each component is called where another network stands in its place.
pub(crate) const DIT: &str = "a Wan transformer";
pub(crate) const VAE: &str = "a Wan VAE";
pub(crate) const TEXT_ENCODER: &str = "a umT5 text encoder";
pub(crate) const IMAGE_ENCODER: &str = "a CLIP image encoder";

/// An opened component: mapped, recognised, nothing loaded yet.
#[derive(Clone, Debug)]
pub struct Component {
    /// Its tensors.
    pub source: Arc<dyn TensorSource>,
    /// Its `config.json`, and where that lies.
    pub config: Option<(PathBuf, Value)>,
    /// What it is.
    pub fingerprint: Fingerprint,
}

impl Component {
    /// Says that the weights are not needed again, so that their file pages stop counting as resident memory. A
    /// module that borrows them can still be used: its pages are read again.
    pub fn release(&self) {
        self.source
            .names()
            .into_iter()
            .filter_map(|name| self.source.data(name))
            .for_each(|data| data.release());
    }

    /// Bytes of all its tensors as they are stored.
    pub fn bytes(&self) -> u64 {
        let infos = self.source.names().into_iter().filter_map(|name| self.source.info(name));
        infos.map(|info| info.bytes as u64).sum()
    }

    /// In how many bits the file holds weights, if it holds any in fewer.
    pub fn quant(&self) -> Option<Quant> {
        self.source.names().into_iter().find_map(|name| self.source.packed(name)).map(Packed::quant)
    }

    /// Asks the system to bring the weights' file pages into memory, for a component that is needed soon. Whether and
    /// when it does so is its own affair: nothing is loaded, and only unix systems are asked. The call itself may wait
    /// while more is asked for than the disk takes at once, so a thread of its own is a good place for it.
    pub fn read_ahead(&self) {
        self.source.read_ahead();
    }

    /// Opens a file, an index file or a component folder, with its configuration.
    ///
    /// # Errors
    /// Whatever the readers and [`Fingerprint::of`] find wrong.
    pub fn open(path: &Path) -> Result<Self, ImportError> {
        let weights = if path.is_dir() { locate::weights(path) } else { Some(path.to_owned()) };
        let no_weights = || ImportError::config(path, "the folder holds no safetensors weights");
        let weights = weights.ok_or_else(no_weights)?;
        let source: Arc<dyn TensorSource> = Arc::new(source::open(&weights)?);
        let fingerprint = Fingerprint::of(&*source)?;
        tracing::info!("{}: {}", weights.display(), fingerprint.kind);
        let paired = locate::config_beside(&weights)
            .or_else(|| Some(path.join("config.json")).filter(|path| path.is_file()));
        let config = match paired {
            Some(path) => Some((path.clone(), json::read(&path, json::MAX_CONFIG)?)),
            None => neighbour(&weights, &*source, &fingerprint),
        };
        Ok(Self { source, config, fingerprint })
    }

    /// The configuration of a transformer.
    ///
    /// # Errors
    /// [`ImportError::Conflict`] and [`ImportError::Config`]; [`ImportError::WrongComponent`] for another network and
    /// [`ImportError::NotRunnable`] for a transformer with branches that no module here has;
    /// [`ImportError::MissingTensors`], [`ImportError::Shape`] and [`ImportError::Unrecognised`] for a cut or deformed
    /// file.
    pub fn dit_config(&self) -> Result<WanConfig, ImportError> {
        self.fingerprint.check_runnable(&*self.source)?;
        self.dit_shape()
    }

    /// [`Self::dit_config`] of any transformer, whether a module has all of its branches or not.
    fn dit_shape(&self) -> Result<WanConfig, ImportError> {
        let Kind::Dit(facts) = &self.fingerprint.kind else { return Err(self.wrong(DIT)) };
        config::dit(&*self.source, &self.fingerprint, facts, &self.settings())
    }

    /// The released checkpoints that this transformer's keys and shapes are of; none for other networks.
    pub fn released(&self) -> &'static [&'static str] {
        self.dit_shape().map_or(&[], |config| config.released())
    }

    /// Refuses what cannot be run as a whole: what [`Fingerprint::check_runnable`] refuses, and transformers that
    /// denoise chunk by chunk, which only their configuration tells.
    ///
    /// # Errors
    /// [`ImportError::NotRunnable`].
    pub fn check_runnable(&self) -> Result<(), ImportError> {
        self.fingerprint.check_runnable(&*self.source)?;
        let class = self.config.as_ref().and_then(|(_, json)| causal_class(json));
        match class {
            Some(class) => {
                let what = format!("{} that runs chunk by chunk ({class})", self.fingerprint.kind);
                Err(ImportError::NotRunnable { path: self.source.path().to_owned(), what })
            }
            None => Ok(()),
        }
    }

    /// Attention heads of any transformer. No shape shows them: without a configuration they have the width that all
    /// released transformers share, 128.
    ///
    /// # Errors
    /// [`ImportError::Conflict`] and [`ImportError::Config`]; [`ImportError::WrongComponent`] for another network.
    pub fn dit_heads(&self) -> Result<usize, ImportError> {
        match &self.fingerprint.kind {
            Kind::Dit(facts) => config::heads(facts, &self.settings()),
            _ => Err(self.wrong(DIT)),
        }
    }

    /// The configuration of a text encoder.
    ///
    /// # Errors
    /// [`ImportError::Conflict`] and [`ImportError::Config`]; [`ImportError::WrongComponent`] for another network;
    /// [`ImportError::MissingTensors`], [`ImportError::Shape`] and [`ImportError::Unrecognised`] for a cut or deformed
    /// file.
    pub fn text_config(&self) -> Result<Umt5Config, ImportError> {
        match self.fingerprint.kind {
            Kind::Umt5 => config::umt5(&*self.source, self.fingerprint.naming, &self.settings()),
            _ => Err(self.wrong(TEXT_ENCODER)),
        }
    }

    /// The configuration of an autoencoder.
    ///
    /// # Errors
    /// As [`Self::text_config`].
    pub fn vae_config(&self) -> Result<VaeConfig, ImportError> {
        let residual = match self.fingerprint.kind {
            Kind::Vae21 => false,
            Kind::Vae22 => true,
            _ => return Err(self.wrong(VAE)),
        };
        config::vae(&*self.source, self.fingerprint.naming, residual, &self.settings())
    }

    /// The configuration of an image encoder. No shape shows its heads: without a configuration they have the
    /// released encoder's width, 80.
    ///
    /// # Errors
    /// As [`Self::text_config`].
    pub fn clip_config(&self) -> Result<ClipVisionConfig, ImportError> {
        let Fingerprint { kind: Kind::Clip, naming, prefix, .. } = &self.fingerprint else {
            return Err(self.wrong(IMAGE_ENCODER));
        };
        config::clip(&*self.source, *naming, prefix, &self.settings())
    }

    /// The key table for the transformer's module.
    pub fn dit_keys(&self) -> KeyTable {
        KeyTable::dit(self.fingerprint.naming, &self.fingerprint.prefix)
    }

    /// The key table for the text encoder's module.
    pub fn umt5_keys(&self) -> KeyTable {
        KeyTable::umt5(self.fingerprint.naming)
    }

    /// The key table for the image encoder's module.
    pub fn clip_keys(&self, config: &ClipVisionConfig) -> KeyTable {
        KeyTable::clip(self.fingerprint.naming, &self.fingerprint.prefix, config.layers)
    }

    /// The key table for the autoencoder's encoder module.
    pub fn vae_encoder_keys(&self, config: &VaeConfig) -> KeyTable {
        KeyTable::vae_encoder(self.fingerprint.naming, config.into())
    }

    /// The key table for the autoencoder's decoder module.
    pub fn vae_decoder_keys(&self, config: &VaeConfig) -> KeyTable {
        KeyTable::vae_decoder(self.fingerprint.naming, config.into())
    }

    /// The text encoder's token embedding.
    ///
    /// # Errors
    /// As [`TokenTable::new`].
    pub fn token_table(&self) -> Result<TokenTable, ImportError> {
        TokenTable::new(&self.source, self.fingerprint.naming)
    }

    pub(crate) fn wrong(&self, expected: &'static str) -> ImportError {
        let (path, found) = (self.source.path().to_owned(), self.fingerprint.kind.to_string());
        ImportError::WrongComponent { path, expected, found }
    }

    fn settings(&self) -> Settings<'_> {
        match &self.config {
            Some((path, json)) => Settings { path, json: Some(json) },
            None => Settings { path: self.source.path(), json: None },
        }
    }
}

/// The `config.json` in the folder of a transformer's file of any name, if it is a Wan transformer's and every
/// dimension in it is this file's. Whatever else lies there belongs to other files.
fn neighbour(
    weights: &Path,
    source: &dyn TensorSource,
    fingerprint: &Fingerprint,
) -> Option<(PathBuf, Value)> {
    let Kind::Dit(facts) = &fingerprint.kind else { return None };
    let path = weights.with_file_name("config.json");
    let json = json::read(&path, json::MAX_CONFIG).ok()?;
    let class = json.get("_class_name")?.as_str()?;
    if !matches!(class, "WanModel" | "WanTransformer3DModel") && causal_class(&json).is_none() {
        return None;
    }
    config::dit(source, fingerprint, facts, &Settings { path: &path, json: Some(&json) }).ok()?;
    Some((path, json))
}

/// The class or type in a configuration that says the network attends to the past only.
fn causal_class(json: &Value) -> Option<&str> {
    let named = ["_class_name", "model_type"].into_iter().filter_map(|name| json.get(name)?.as_str());
    named.into_iter().find(|class| class.to_ascii_lowercase().contains("causal"))
}
