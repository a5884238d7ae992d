//! One block of the image encoder: attention and feed-forward, each behind a layer norm.

use burn::{
    module::Module,
    prelude::*,
    tensor::{
        DType,
        activation::{gelu, sigmoid},
    },
};
use wan_kernels::attention;

use super::{ClipActivation, ClipVisionConfig};
use crate::{Linear, norm::AffineNorm};

/// Attention among the tokens of a picture, then the feed-forward.
#[derive(Module, Debug)]
pub(super) struct ClipBlock {
    norm1: AffineNorm,
    attn: Attention,
    norm2: AffineNorm,
    mlp: FeedForward,
}

impl ClipBlock {
    /// A block without memory until loaded.
    pub(super) fn new(config: &ClipVisionConfig, device: &Device) -> Self {
        Self {
            norm1: AffineNorm::new(config.width, config.eps, device),
            attn: Attention::new(config, device),
            norm2: AffineNorm::new(config.width, config.eps, device),
            mlp: FeedForward::new(config, device),
        }
    }

    /// `[b, tokens, width]` f32 to the same.
    pub(super) fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let x = x.clone() + self.attn.forward(self.norm1.forward(x));
        x.clone() + self.mlp.forward(self.norm2.forward(x))
    }
}

#[derive(Module, Debug)]
struct Attention {
    /// One layer for queries, keys and values, or one for each.
    qkv: Vec<Linear>,
    proj: Linear,
    #[module(skip)]
    heads: usize,
}

impl Attention {
    fn new(config: &ClipVisionConfig, device: &Device) -> Self {
        let &ClipVisionConfig { width, heads, .. } = config;
        let qkv = match config.fused_qkv {
            true => vec![Linear::new(width, 3 * width, device)],
            false => (0..3).map(|_| Linear::new(width, width, device)).collect(),
        };
        Self { qkv, proj: Linear::new(width, width, device), heads }
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [b, l, width] = x.dims();
        let rows = Tensor::cat(self.qkv.iter().map(|linear| linear.forward(x.clone())).collect(), 2);
        let [q, k, v] = [0, 1, 2].map(|n| self.split_heads(rows.clone().narrow(2, n * width, width)));
        let mixed = attention(q, k, v).cast(DType::F32);
        self.proj.forward(mixed.swap_dims(1, 2).reshape([b, l, width]))
    }

    /// `[b, l, width]` f32 to `[b, heads, l, width / heads]` in the matmuls' dtype.
    fn split_heads(&self, x: Tensor<3>) -> Tensor<4> {
        let [b, l, width] = x.dims();
        x.reshape([b, l, self.heads, width / self.heads]).swap_dims(1, 2).cast(self.proj.dtype())
    }
}

#[derive(Module, Debug)]
struct FeedForward {
    linear1: Linear,
    linear2: Linear,
    #[module(skip)]
    activation: ClipActivation,
}

impl FeedForward {
    fn new(config: &ClipVisionConfig, device: &Device) -> Self {
        Self {
            linear1: Linear::new(config.width, config.mlp, device),
            linear2: Linear::new(config.mlp, config.width, device),
            activation: config.activation,
        }
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let hidden = self.linear1.forward(x);
        self.linear2.forward(match self.activation {
            ClipActivation::Gelu => gelu(hidden),
            ClipActivation::QuickGelu => hidden.clone() * sigmoid(hidden * 1.702),
        })
    }
}
