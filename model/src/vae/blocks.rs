//! The blocks of both networks: norm, residual block, attention over the pixels of a frame.

use burn::{
    module::{Module, Param},
    prelude::*,
};
use wan_kernels::{attention, channel_norm};

use super::{causal_conv::CausalConv3d, feature_cache::FeatureCache};
use crate::param::param;

/// `x / ||x|| * sqrt(c) * gamma` over the channels.
#[derive(Module, Debug)]
pub(super) struct RmsNorm {
    gamma: Param<Tensor<1>>,
}

impl RmsNorm {
    pub fn new(channels: usize, device: &Device) -> Self {
        Self { gamma: param([channels], device) }
    }

    /// `[1, c, t, h, w]` to the same.
    pub fn forward(&self, x: Tensor<5>) -> Tensor<5> {
        channel_norm(x, self.gamma.val(), false)
    }

    /// The norm followed by `x * sigmoid(x)`.
    pub fn forward_silu(&self, x: Tensor<5>) -> Tensor<5> {
        channel_norm(x, self.gamma.val(), true)
    }
}

/// Two causal convolutions beside a shortcut.
#[derive(Module, Debug)]
pub(super) struct ResidualBlock {
    norm1: RmsNorm,
    conv1: CausalConv3d,
    norm2: RmsNorm,
    conv2: CausalConv3d,
    shortcut: Option<CausalConv3d>,
}

impl ResidualBlock {
    pub fn new(inputs: usize, outputs: usize, device: &Device) -> Self {
        Self {
            norm1: RmsNorm::new(inputs, device),
            conv1: CausalConv3d::new(inputs, outputs, [3; 3], device),
            norm2: RmsNorm::new(outputs, device),
            conv2: CausalConv3d::new(outputs, outputs, [3; 3], device),
            shortcut: (inputs != outputs).then(|| CausalConv3d::pointwise(inputs, outputs, device)),
        }
    }

    /// `[1, c_in, t, h, w]` to `[1, c_out, t, h, w]`.
    pub fn forward(&self, x: Tensor<5>, cache: &mut FeatureCache) -> Tensor<5> {
        let y = self.conv1.forward(self.norm1.forward_silu(x.clone()), cache);
        let y = self.conv2.forward(self.norm2.forward_silu(y), cache);
        match &self.shortcut {
            Some(shortcut) => y + shortcut.forward(x, cache),
            None => y + x,
        }
    }
}

/// Residual block, attention, residual block at the lowest resolution.
#[derive(Module, Debug)]
pub(super) struct Middle {
    res1: ResidualBlock,
    attn: PixelAttention,
    res2: ResidualBlock,
}

impl Middle {
    pub fn new(channels: usize, device: &Device) -> Self {
        Self {
            res1: ResidualBlock::new(channels, channels, device),
            attn: PixelAttention::new(channels, device),
            res2: ResidualBlock::new(channels, channels, device),
        }
    }

    /// `[1, c, t, h, w]` to the same.
    pub fn forward(&self, x: Tensor<5>, cache: &mut FeatureCache) -> Tensor<5> {
        let x = self.res1.forward(x, cache);
        self.res2.forward(self.attn.forward(x, cache), cache)
    }
}

/// Attention of each pixel to all pixels of its frame, with one head of full width.
#[derive(Module, Debug)]
pub(super) struct PixelAttention {
    norm: RmsNorm,
    to_qkv: CausalConv3d,
    proj: CausalConv3d,
}

impl PixelAttention {
    pub fn new(channels: usize, device: &Device) -> Self {
        Self {
            norm: RmsNorm::new(channels, device),
            to_qkv: CausalConv3d::pointwise(channels, 3 * channels, device),
            proj: CausalConv3d::pointwise(channels, channels, device),
        }
    }

    /// `[1, c, t, h, w]` to the same.
    pub fn forward(&self, x: Tensor<5>, cache: &mut FeatureCache) -> Tensor<5> {
        let [_, c, t, h, w] = x.dims();
        let qkv = self.to_qkv.forward(self.norm.forward(x.clone()), cache);
        let [q, k, v] = [0, 1, 2].map(|part| {
            let part = qkv.clone().slice_dim(1, part * c..(part + 1) * c);
            part.reshape([1, c, t, h * w]).permute([2, 0, 3, 1]) // [t, 1, h w, c]
        });
        let y = attention(q, k, v).permute([1, 3, 0, 2]).reshape([1, c, t, h, w]);
        x + self.proj.forward(y, cache)
    }
}
