//! What a network's weights take in memory once they are loaded, by names, shapes and dtypes alone.

use std::collections::HashSet;

use burn::{
    module::Module,
    prelude::*,
    tensor::{DType, FloatDType},
};
use wan_model::{
    ClipVision, LargeLinears, VaeDecoder, VaeEncoder, WanTransformer,
    text::{Umt5Block, Umt5Config, Umt5Norm},
};

use crate::{
    Checkpoint, DtypePolicy, ImportError, KeyTable, TensorSource, convert,
    load::{Planner, Wanted},
};

/// The memory of one parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightBytes {
    /// Its path in the module, such as `blocks.0.ffn.linear1.weight`.
    pub path: String,
    /// Held where the module is, as long as it lives.
    pub bytes: u64,
    /// Those of the bytes that a module on the host reads out of the mapped file: resident once they are read, but the
    /// system may take them back at any time.
    pub mapped: u64,
    /// Held on the host besides, while the parameter is made.
    pub passing: u64,
}

impl Checkpoint {
    /// The parameters of a transformer loaded with `policy`, the one for `high` or low noise.
    ///
    /// # Errors
    /// As [`crate::load_module`], the tensors' values aside.
    pub fn transformer_weights(
        &self,
        high: bool,
        policy: &DtypePolicy,
    ) -> Result<Vec<WeightBytes>, ImportError> {
        let component = self.expert(high);
        let module = WanTransformer::new(&self.dit_config, &Device::flex());
        network(module, "", &*component.source, &component.dit_keys(), policy)
    }

    /// The parameters of each layer of the text encoder, and of the norm behind them.
    ///
    /// # Errors
    /// As [`crate::load_module`], the tensors' values aside.
    pub fn text_weights(&self) -> Result<Vec<Vec<WeightBytes>>, ImportError> {
        let (config, keys) = (&self.text_config, self.text_encoder.umt5_keys());
        let source = &*self.text_encoder.source;
        let layer = |index| text_layer(config, index, source, &keys);
        let norm = Umt5Norm::new(config, &Device::flex());
        let norm = weigh(&norm, &HashSet::new(), "norm", source, &keys, &DtypePolicy::F32);
        (0..config.layers).map(layer).chain([norm]).collect()
    }

    /// The parameters of the encoder half of the autoencoder.
    ///
    /// # Errors
    /// As [`crate::load_module`], the tensors' values aside.
    pub fn vae_encoder_weights(&self) -> Result<Vec<WeightBytes>, ImportError> {
        let module = VaeEncoder::new(&self.vae_config, &Device::flex());
        let keys = self.vae.vae_encoder_keys(&self.vae_config);
        weigh(&module, &HashSet::new(), "", &*self.vae.source, &keys, &DtypePolicy::F32)
    }

    /// The parameters of the decoder half of the autoencoder.
    ///
    /// # Errors
    /// As [`crate::load_module`], the tensors' values aside.
    pub fn vae_decoder_weights(&self) -> Result<Vec<WeightBytes>, ImportError> {
        let module = VaeDecoder::new(&self.vae_config, &Device::flex());
        let keys = self.vae.vae_decoder_keys(&self.vae_config);
        weigh(&module, &HashSet::new(), "", &*self.vae.source, &keys, &DtypePolicy::F32)
    }

    /// The parameters of the image encoder; none where the model has no such.
    ///
    /// # Errors
    /// As [`crate::load_module`], the tensors' values aside.
    pub fn clip_weights(&self) -> Result<Vec<WeightBytes>, ImportError> {
        let Some((component, config)) = self.image_encoder.as_ref().zip(self.clip_config.as_ref()) else {
            return Ok(Vec::new());
        };
        let module = ClipVision::new(config, &Device::flex());
        let keys = component.clip_keys(config);
        weigh(&module, &HashSet::new(), "", &*component.source, &keys, &DtypePolicy::F32)
    }
}

fn text_layer(
    config: &Umt5Config,
    index: usize,
    source: &dyn TensorSource,
    keys: &KeyTable,
) -> Result<Vec<WeightBytes>, ImportError> {
    let module = Umt5Block::new(config, &Device::flex());
    network(module, &format!("blocks.{index}"), source, keys, &DtypePolicy::F32)
}

/// Of a network whose large layers may be held in fewer bits.
fn network<M: Module + LargeLinears>(
    mut module: M,
    at: &str,
    source: &dyn TensorSource,
    keys: &KeyTable,
    policy: &DtypePolicy,
) -> Result<Vec<WeightBytes>, ImportError> {
    let mut large = HashSet::new();
    module.large_linears(at, &mut |path, _| {
        large.insert(format!("{path}.weight"));
    });
    weigh(&module, &large, at, source, keys, policy)
}

fn weigh<M: Module>(
    module: &M,
    large: &HashSet<String>,
    at: &str,
    source: &dyn TensorSource,
    keys: &KeyTable,
    policy: &DtypePolicy,
) -> Result<Vec<WeightBytes>, ImportError> {
    let plan = Planner::checked(module, at, source, keys, policy)?;
    let weight = |(path, wanted): (&String, &Wanted)| {
        let (bytes, mapped, passing) = of_parameter(wanted, large.contains(path), source, policy);
        WeightBytes { path: path.clone(), bytes, mapped, passing }
    };
    Ok(plan.wanted.iter().map(weight).collect())
}

/// Bytes, those of them that are mapped, and bytes in passing.
fn of_parameter(
    wanted: &Wanted,
    large: bool,
    source: &dyn TensorSource,
    policy: &DtypePolicy,
) -> (u64, u64, u64) {
    let count = wanted.shape.iter().product::<usize>() as u64;
    let singles = count * size_of::<f32>() as u64;
    if let Some(packed) = source.packed(&wanted.key) {
        return match packed.held_bytes(policy.half_scales).filter(|_| large) {
            Some([codes, scales]) => (codes + scales, codes, scales),
            // All values in f32, and as bytes, on their way to the dtype.
            None => (count * size(wanted.dtype), 0, 2 * singles),
        };
    }
    if let (true, Some(quant), &[n, k]) = (large, policy.quant, wanted.shape.as_slice())
        && quant.fits(k)
    {
        let bytes = quant.bytes([n, k], policy.half_scales);
        return (bytes, 0, singles + bytes);
    }
    let bytes = count * size(wanted.dtype);
    let same =
        source.info(&wanted.key).is_some_and(|info| convert::same(&info.dtype, wanted.dtype).is_some());
    (bytes, if same { bytes } else { 0 }, 0)
}

fn size(dtype: FloatDType) -> u64 {
    DType::from(dtype).size() as u64
}
