//! The networks of a checkpoint, built to its dimensions and filled.

use burn::prelude::*;
use wan_model::{
    ClipVision, VaeConfig, VaeDecoder, VaeEncoder, WanConfig, WanTransformer,
    text::{Tokenizer, Umt5Block, Umt5Config, Umt5Encoder, Umt5Norm},
};

use crate::{
    Checkpoint, Component, DtypePolicy, ImportError, KeyTable, TensorSource,
    load::{Planner, check_module, load_module, load_network, load_part},
};

/// Largest `tokenizer.json` that is read; the released one has 16 MB.
const MAX_TOKENIZER_BYTES: u64 = 256 << 20;

impl Checkpoint {
    /// The only transformer, or the one for low noise, on `device`, its weights in the policy's dtype.
    ///
    /// # Errors
    /// As [`load_module`].
    pub fn load_transformer(
        &self,
        policy: &DtypePolicy,
        device: &Device,
    ) -> Result<WanTransformer, ImportError> {
        self.load_expert(false, policy, device)
    }

    /// The transformer for `high` or low noise on `device`, its weights in the policy's dtype; a model with only one
    /// has it for both.
    ///
    /// # Errors
    /// As [`load_module`].
    pub fn load_expert(
        &self,
        high: bool,
        policy: &DtypePolicy,
        device: &Device,
    ) -> Result<WanTransformer, ImportError> {
        self.expert(high).transformer(&self.dit_config, policy, device)
    }

    /// The image encoder on `device`, its weights in the policy's dtype.
    ///
    /// # Errors
    /// As [`load_module`], and [`ImportError::NoImageBranch`] for a model that has none.
    pub fn load_clip_vision(&self, policy: &DtypePolicy, device: &Device) -> Result<ClipVision, ImportError> {
        let no_branch = || ImportError::NoImageBranch { path: self.dit.source.path().to_owned() };
        self.image_encoder.as_ref().ok_or_else(no_branch)?.load_clip_vision(policy, device)
    }

    /// The encoder half of the autoencoder on `device`, in f32.
    ///
    /// # Errors
    /// As [`load_module`].
    pub fn load_vae_encoder(&self, device: &Device) -> Result<VaeEncoder, ImportError> {
        self.vae.encoder(&self.vae_config, device)
    }

    /// The decoder half of the autoencoder on `device`, in f32.
    ///
    /// # Errors
    /// As [`load_module`].
    pub fn load_vae_decoder(&self, device: &Device) -> Result<VaeDecoder, ImportError> {
        self.vae.decoder(&self.vae_config, device)
    }

    /// The text encoder, checked and ready to be loaded layer by layer.
    ///
    /// # Errors
    /// As [`load_module`], the tensors' values aside.
    pub fn text_layers<'a>(&'a self, device: &'a Device) -> Result<TextLayers<'a>, ImportError> {
        let (config, keys) = (self.text_config.clone(), self.text_encoder.umt5_keys());
        let source = &*self.text_encoder.source;
        check_module(&Umt5Encoder::new(&config, device), source, &keys)?;
        Ok(TextLayers { source, keys, config, device })
    }

    /// Bytes of the tokenizer's file, 0 if there is none.
    pub fn tokenizer_bytes(&self) -> u64 {
        std::fs::metadata(&self.tokenizer).map_or(0, |file| file.len())
    }

    /// The tokenizer.
    ///
    /// # Errors
    /// [`ImportError::Io`], and [`ImportError::Config`] if the file is too large or no tokenizer.
    pub fn load_tokenizer(&self) -> Result<Tokenizer, ImportError> {
        let path = &self.tokenizer;
        let io = |source| ImportError::Io { path: path.clone(), source };
        let bytes = std::fs::metadata(path).map_err(io)?.len();
        if bytes > MAX_TOKENIZER_BYTES {
            return Err(ImportError::config(path, format!("{bytes} bytes are too many for a tokenizer")));
        }
        let json = std::fs::read(path).map_err(io)?;
        Tokenizer::from_json(&json).map_err(|error| ImportError::config(path, error.to_string()))
    }
}

impl Component {
    /// The transformer on `device`, its weights in the policy's dtype.
    ///
    /// # Errors
    /// As [`Self::dit_config`] and [`load_module`].
    pub fn load_transformer(
        &self,
        policy: &DtypePolicy,
        device: &Device,
    ) -> Result<WanTransformer, ImportError> {
        self.transformer(&self.dit_config()?, policy, device)
    }

    /// Everything [`Self::load_transformer`] checks before it reads values.
    ///
    /// # Errors
    /// As [`Self::load_transformer`], the tensors' values aside.
    pub fn check_transformer(&self) -> Result<(), ImportError> {
        let module = WanTransformer::new(&self.dit_config()?, &Device::flex());
        check_module(&module, &*self.source, &self.dit_keys())
    }

    fn transformer(
        &self,
        config: &WanConfig,
        policy: &DtypePolicy,
        device: &Device,
    ) -> Result<WanTransformer, ImportError> {
        let module = WanTransformer::new(config, device);
        load_network(module, "", &*self.source, &self.dit_keys(), policy, device)
    }

    /// The image encoder on `device`, its weights in the policy's dtype.
    ///
    /// # Errors
    /// As [`Self::clip_config`] and [`load_module`].
    pub fn load_clip_vision(&self, policy: &DtypePolicy, device: &Device) -> Result<ClipVision, ImportError> {
        let config = self.clip_config()?;
        let keys = self.clip_keys(&config);
        load_module(ClipVision::new(&config, device), &*self.source, &keys, policy, device)
    }

    /// The encoder half of an autoencoder on `device`, in f32.
    ///
    /// # Errors
    /// As [`Self::vae_config`] and [`load_module`].
    pub fn load_vae_encoder(&self, device: &Device) -> Result<VaeEncoder, ImportError> {
        self.encoder(&self.vae_config()?, device)
    }

    /// The decoder half of an autoencoder on `device`, in f32.
    ///
    /// # Errors
    /// As [`Self::vae_config`] and [`load_module`].
    pub fn load_vae_decoder(&self, device: &Device) -> Result<VaeDecoder, ImportError> {
        self.decoder(&self.vae_config()?, device)
    }

    fn decoder(&self, config: &VaeConfig, device: &Device) -> Result<VaeDecoder, ImportError> {
        let keys = self.vae_decoder_keys(config);
        load_module(VaeDecoder::new(config, device), &*self.source, &keys, &DtypePolicy::F32, device)
    }

    fn encoder(&self, config: &VaeConfig, device: &Device) -> Result<VaeEncoder, ImportError> {
        let keys = self.vae_encoder_keys(config);
        load_module(VaeEncoder::new(config, device), &*self.source, &keys, &DtypePolicy::F32, device)
    }
}

/// A text encoder whose layers are loaded one at a time: eleven gigabytes pass through the memory of one layer.
///
/// Always in f32, weights that the file holds in fewer bits aside: the feed-forward's products leave the range of f16.
pub struct TextLayers<'a> {
    source: &'a dyn TensorSource,
    keys: KeyTable,
    config: Umt5Config,
    device: &'a Device,
}

impl TextLayers<'_> {
    pub fn config(&self) -> &Umt5Config {
        &self.config
    }

    /// Layer `index`.
    ///
    /// # Errors
    /// As [`load_module`].
    pub fn block(&self, index: usize) -> Result<Umt5Block, ImportError> {
        let module = Umt5Block::new(&self.config, self.device);
        let at = format!("blocks.{index}");
        load_network(module, &at, self.source, &self.keys, &DtypePolicy::F32, self.device)
    }

    /// Says that layer `index` is not needed again, so that the pages it borrows of the file stop counting as resident
    /// memory.
    pub fn release(&self, index: usize) {
        let module = Umt5Block::new(&self.config, self.device);
        let plan = Planner::of(&module, &format!("blocks.{index}"), &self.keys, &DtypePolicy::F32);
        let data = plan.wanted.values().filter_map(|wanted| self.source.data(&wanted.key));
        data.for_each(|data| data.release());
    }

    /// The norm after the last layer.
    ///
    /// # Errors
    /// As [`load_module`].
    pub fn norm(&self) -> Result<Umt5Norm, ImportError> {
        let module = Umt5Norm::new(&self.config, self.device);
        load_part(module, "norm", self.source, &self.keys, &DtypePolicy::F32, self.device)
    }
}
