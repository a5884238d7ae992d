//! The umT5 text encoder: token rows in, context rows out, at the text's own length and so without any mask.

use burn::{
    module::{Module, Param},
    prelude::*,
    tensor::{DType, activation::softmax},
};
use wan_kernels::{gelu, rms_norm};

use super::PositionBuckets;
use crate::{
    Linear,
    linear::{LargeLinears, visit_all},
    param::param,
};

/// Sizes of a umT5 encoder.
#[derive(Clone, Debug, PartialEq)]
pub struct Umt5Config {
    /// Rows of the token table.
    pub vocab: usize,
    pub d_model: usize,
    /// Width of one head; `heads * d_kv` need not be `d_model`.
    pub d_kv: usize,
    pub heads: usize,
    pub d_ff: usize,
    pub layers: usize,
    /// Buckets of relative positions.
    pub buckets: usize,
    /// Relative positions from here on share a bucket.
    pub max_distance: usize,
    pub eps: f64,
}

impl Umt5Config {
    /// umT5-XXL, the text encoder of every Wan.
    /// <https://github.com/Wan-Video/Wan2.1/blob/9737cba/wan/modules/t5.py>
    pub fn xxl() -> Self {
        Self {
            vocab: 256_384,
            d_model: 4096,
            d_kv: 64,
            heads: 64,
            d_ff: 10_240,
            layers: 24,
            buckets: 32,
            max_distance: 128,
            eps: 1e-6,
        }
    }
}

impl Umt5Config {
    /// Bytes that one layer holds at most beside its weights, for a text of `rows` tokens: attention's bias and scores
    /// and what becomes of them, or the feed-forward's hidden values.
    pub fn layer_bytes(&self, rows: usize) -> u64 {
        let (inner, stream) = (self.heads * self.d_kv, rows * self.d_model);
        let scores = self.heads * rows * rows;
        let attention = stream + 4 * rows * inner + 3 * scores;
        let feed_forward = 2 * stream + 4 * rows * self.d_ff;
        (attention.max(feed_forward) * size_of::<f32>()) as u64
    }
}

/// All layers at once. A caller short of memory loads one [`Umt5Block`] after the other instead, then the final
/// [`Umt5Norm`].
#[derive(Module, Debug)]
pub struct Umt5Encoder {
    blocks: Vec<Umt5Block>,
    norm: Umt5Norm,
    #[module(skip)]
    config: Umt5Config,
}

impl Umt5Encoder {
    /// An encoder without memory until loaded.
    pub fn new(config: &Umt5Config, device: &Device) -> Self {
        Self {
            blocks: (0..config.layers).map(|_| Umt5Block::new(config, device)).collect(),
            norm: Umt5Norm::new(config, device),
            config: config.clone(),
        }
    }

    /// `embeddings`: the token rows `[1, n, d_model]` in f32. Gives the context rows, of the same shape.
    pub fn forward(&self, embeddings: Tensor<3>) -> Tensor<3> {
        let positions = PositionBuckets::new(embeddings.dims()[1], &self.config, &embeddings.device());
        let x = self.blocks.iter().fold(embeddings, |x, block| block.forward(x, &positions));
        self.norm.forward(x)
    }
}

/// One layer: self-attention with a position bias of its own, then the gated feed-forward.
#[derive(Module, Debug)]
pub struct Umt5Block {
    norm1: Umt5Norm,
    attn: Attention,
    /// `[buckets, heads]`.
    relative_bias: Param<Tensor<2>>,
    norm2: Umt5Norm,
    ffn: FeedForward,
}

impl Umt5Block {
    /// A layer without memory until loaded.
    pub fn new(config: &Umt5Config, device: &Device) -> Self {
        Self {
            norm1: Umt5Norm::new(config, device),
            attn: Attention::new(config, device),
            relative_bias: param([config.buckets, config.heads], device),
            norm2: Umt5Norm::new(config, device),
            ffn: FeedForward::new(config, device),
        }
    }

    /// `x`: the residual stream `[1, n, d_model]` in f32; `positions` for the same `n`.
    pub fn forward(&self, x: Tensor<3>, positions: &PositionBuckets) -> Tensor<3> {
        let bias = positions.bias(self.relative_bias.val());
        let x = x.clone() + self.attn.forward(self.norm1.forward(x), bias);
        x.clone() + self.ffn.forward(self.norm2.forward(x))
    }
}

impl LargeLinears for Umt5Block {
    fn large_linears(&mut self, at: &str, visit: &mut dyn FnMut(&str, &mut Linear)) {
        let (Attention { q, k, v, o, .. }, FeedForward { gate, up, down }) = (&mut self.attn, &mut self.ffn);
        visit_all(at, [("attn.q", q), ("attn.k", k), ("attn.v", v), ("attn.o", o)], visit);
        visit_all(at, [("ffn.gate", gate), ("ffn.up", up), ("ffn.down", down)], visit);
    }
}

/// Root-mean-square norm with a scale, in f32.
#[derive(Module, Debug)]
pub struct Umt5Norm {
    weight: Param<Tensor<1>>,
    eps: f64,
}

impl Umt5Norm {
    /// A norm without memory until loaded.
    pub fn new(config: &Umt5Config, device: &Device) -> Self {
        Self { weight: param([config.d_model], device), eps: config.eps }
    }

    /// `[1, n, d_model]` f32 to the same.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        rms_norm(x, self.weight.val().cast(DType::F32), self.eps)
    }
}

#[derive(Module, Debug)]
struct Attention {
    q: Linear,
    k: Linear,
    v: Linear,
    o: Linear,
    heads: usize,
}

impl Attention {
    fn new(config: &Umt5Config, device: &Device) -> Self {
        let inner = config.heads * config.d_kv;
        let inward = || Linear::without_bias(config.d_model, inner, device);
        let o = Linear::without_bias(inner, config.d_model, device);
        Self { q: inward(), k: inward(), v: inward(), o, heads: config.heads }
    }

    /// Scores are not scaled: training folded the scale into the weights. They are products of f32, since an f16 one
    /// overflows without the scale.
    fn forward(&self, x: Tensor<3>, bias: Tensor<4>) -> Tensor<3> {
        let [q, k, v] = [&self.q, &self.k, &self.v].map(|linear| self.split_heads(linear.forward(x.clone())));
        let [b, heads, n, d_kv] = q.dims();
        let scores = q.matmul(k.swap_dims(2, 3)) + bias;
        let mixed = softmax(scores, 3).matmul(v);
        self.o.forward(mixed.swap_dims(1, 2).reshape([b, n, heads * d_kv]))
    }

    /// `[b, n, heads * d_kv]` to `[b, heads, n, d_kv]`.
    fn split_heads(&self, x: Tensor<3>) -> Tensor<4> {
        let [b, n, inner] = x.dims();
        x.reshape([b, n, self.heads, inner / self.heads]).swap_dims(1, 2)
    }
}

#[derive(Module, Debug)]
struct FeedForward {
    gate: Linear,
    up: Linear,
    down: Linear,
}

impl FeedForward {
    fn new(config: &Umt5Config, device: &Device) -> Self {
        let inward = || Linear::without_bias(config.d_model, config.d_ff, device);
        Self { gate: inward(), up: inward(), down: Linear::without_bias(config.d_ff, config.d_model, device) }
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let hidden = gelu(self.gate.forward(x.clone())) * self.up.forward(x);
        // The hidden values of umT5-XXL pass f16's 65504, and so do their sums: each row goes through at most 1 high.
        let height = hidden.clone().abs().max_dim(2).clamp_min(1.0);
        self.down.forward(hidden / height.clone()) * height
    }
}
