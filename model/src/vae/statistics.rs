//! Latents as the diffusion model sees them: zero mean and unit variance per channel.

use burn::prelude::*;

use super::VaeConfig;

/// Mean and reciprocal standard deviation per latent channel.
#[derive(Clone, Debug)]
pub(super) struct Statistics {
    mean: Vec<f32>,
    // Rounded to f32 once: encoding multiplies by it and decoding divides by it.
    reciprocal: Vec<f32>,
}

impl Statistics {
    pub fn new(config: &VaeConfig) -> Self {
        Self {
            mean: config.latents_mean.clone(),
            reciprocal: config.latents_std.iter().map(|std| 1.0 / std).collect(),
        }
    }

    /// `[1, z, t, h, w]` from the encoder's to the diffusion model's scale.
    pub fn normalise(&self, mu: Tensor<5>) -> Tensor<5> {
        let device = mu.device();
        (mu - per_channel(&self.mean, &device)) * per_channel(&self.reciprocal, &device)
    }

    /// `[1, z, t, h, w]` from the diffusion model's to the decoder's scale.
    pub fn denormalise(&self, latents: Tensor<5>) -> Tensor<5> {
        let device = latents.device();
        latents / per_channel(&self.reciprocal, &device) + per_channel(&self.mean, &device)
    }
}

fn per_channel(values: &[f32], device: &Device) -> Tensor<5> {
    Tensor::from_data(TensorData::new(values.to_vec(), [1, values.len(), 1, 1, 1]), device)
}
