//! What enters the blocks: patches, timestep, text.

use burn::{
    module::{Module, Param},
    prelude::*,
};
use tracing::instrument;
use wan_kernels::{linear, silu};

use crate::{Linear, WanConfig, param::param, patches::patches};

/// Non-overlapping patches as a linear layer; the weight stays the checkpoint's `[d, c, pt, ph, pw]` convolution.
#[derive(Module, Debug)]
pub struct PatchEmbed {
    weight: Param<Tensor<5>>,
    bias: Param<Tensor<1>>,
}

impl PatchEmbed {
    pub(crate) fn new(config: &WanConfig, device: &Device) -> Self {
        let [pt, ph, pw] = config.patch;
        Self {
            weight: param([config.dim, config.in_dim, pt, ph, pw], device),
            bias: param([config.dim], device),
        }
    }

    /// `[1, c, frames, rows, columns]` to `[1, l, d]`, frame-major.
    #[instrument(name = "patch embedding", level = "trace", skip_all)]
    pub fn forward(&self, x: Tensor<5>) -> Tensor<3> {
        let weight = self.weight.val();
        let [d, c, pt, ph, pw] = weight.dims();
        let patches = patches(x, [pt, ph, pw]).squeeze_dim::<2>(0);
        linear(patches, weight.reshape([d, c * pt * ph * pw]), Some(self.bias.val()), false).unsqueeze()
    }
}

/// The timestep's two embeddings, in f32.
#[derive(Module, Debug)]
pub struct TimeEmbed {
    linear1: Linear,
    linear2: Linear,
}

impl TimeEmbed {
    pub(crate) fn new(config: &WanConfig, device: &Device) -> Self {
        Self {
            linear1: Linear::new(config.freq_dim, config.dim, device),
            linear2: Linear::new(config.dim, config.dim, device),
        }
    }

    /// `[n, 1, freq_dim]` to `[n, 1, d]`.
    pub fn forward(&self, sinusoid: Tensor<3>) -> Tensor<3> {
        self.linear2.forward(silu(self.linear1.forward(sinusoid)))
    }
}

/// The text MLP, from the text encoder's width to the model's.
#[derive(Module, Debug)]
pub struct TextEmbed {
    linear1: Linear,
    linear2: Linear,
}

impl TextEmbed {
    pub(crate) fn new(config: &WanConfig, device: &Device) -> Self {
        Self {
            linear1: Linear::new(config.text_dim, config.dim, device),
            linear2: Linear::new(config.dim, config.dim, device),
        }
    }

    /// `[b, k, text_dim]` to `[b, k, d]`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.linear2.forward(self.linear1.forward_gelu(x))
    }
}
