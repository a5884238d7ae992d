//! Self- and cross-attention with RMS-normalised queries and keys.

use burn::{
    module::{Module, Param},
    prelude::*,
    tensor::DType,
};
use wan_kernels::{RopeTable, attention, rms_norm, rope_attention};

use crate::{Linear, WanConfig, param::param};

/// RMS norm over the full model width, before the split in heads.
#[derive(Module, Debug)]
pub struct QkNorm {
    weight: Param<Tensor<1>>,
    #[module(skip)]
    eps: f64,
}

impl QkNorm {
    fn new(config: &WanConfig, device: &Device) -> Self {
        Self { weight: param([config.dim], device), eps: config.eps }
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        rms_norm(x, self.weight.val(), self.eps)
    }
}

/// Self- or cross-attention: one set of projections, full width RMS norms on queries and keys.
#[derive(Module, Debug)]
pub struct Attention {
    q: Linear,
    k: Linear,
    v: Linear,
    o: Linear,
    norm_q: QkNorm,
    norm_k: QkNorm,
    #[module(skip)]
    heads: usize,
}

impl Attention {
    pub(crate) fn new(config: &WanConfig, device: &Device) -> Self {
        let linear = || Linear::new(config.dim, config.dim, device);
        let norm = || QkNorm::new(config, device);
        Self {
            q: linear(),
            k: linear(),
            v: linear(),
            o: linear(),
            norm_q: norm(),
            norm_k: norm(),
            heads: config.heads,
        }
    }

    /// Full attention among the video tokens `[b, l, d]`, queries and keys rotated by position.
    pub fn among(&self, x: Tensor<3>, rope: &RopeTable) -> Tensor<3> {
        let [q, k, v] = [self.queries(x.clone()), self.keys(x.clone()), self.values(x)].map(|x| self.cast(x));
        self.project(rope_attention(q, k, v, rope))
    }

    /// Attention from the video tokens `[b, l, d]` to text rows `[b, k, d]`; no mask, padding rows count.
    pub fn to(&self, x: Tensor<3>, context: Tensor<3>) -> Tensor<3> {
        let operands = [self.queries(x), self.keys(context.clone()), self.values(context)];
        let [q, k, v] = operands.map(|x| self.cast(x).swap_dims(1, 2));
        self.project(attention(q, k, v).swap_dims(1, 2))
    }

    fn queries(&self, x: Tensor<3>) -> Tensor<4> {
        self.split_heads(self.norm_q.forward(self.q.forward(x)))
    }

    fn keys(&self, x: Tensor<3>) -> Tensor<4> {
        self.split_heads(self.norm_k.forward(self.k.forward(x)))
    }

    fn values(&self, x: Tensor<3>) -> Tensor<4> {
        self.split_heads(self.v.forward(x))
    }

    /// `[b, l, h * d]` to `[b, l, h, d]`.
    fn split_heads(&self, x: Tensor<3>) -> Tensor<4> {
        let [b, l, width] = x.dims();
        x.reshape([b, l, self.heads, width / self.heads])
    }

    /// In the dtype of the matmuls.
    fn cast(&self, x: Tensor<4>) -> Tensor<4> {
        x.cast(self.o.dtype())
    }

    /// The output projection of the heads' results `[b, l, h, d]`.
    fn project(&self, x: Tensor<4>) -> Tensor<3> {
        let [b, l, h, d] = x.dims();
        self.o.forward(x.cast(DType::F32).reshape([b, l, h * d]))
    }
}
