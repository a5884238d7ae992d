//! Self- and cross-attention with RMS-normalised queries and keys.

use burn::{
    module::{Module, Param},
    prelude::*,
    tensor::DType,
};
use wan_kernels::{RopeTable, attention, rms_norm, rope3d};

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
        let q = rope3d(self.queries(x.clone()), rope);
        let k = rope3d(self.keys(x.clone()), rope);
        self.attend(q, k, self.values(x))
    }

    /// Attention from the video tokens `[b, l, d]` to text rows `[b, k, d]`; no mask, padding rows count.
    pub fn to(&self, x: Tensor<3>, context: Tensor<3>) -> Tensor<3> {
        self.attend(self.queries(x), self.keys(context.clone()), self.values(context))
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

    /// Attention over `[b, l, h, d]` f32 in the matmuls' dtype, and the output projection.
    fn attend(&self, q: Tensor<4>, k: Tensor<4>, v: Tensor<4>) -> Tensor<3> {
        let [b, l, h, d] = q.dims();
        let dtype = self.o.dtype();
        let by_head = |x: Tensor<4>| x.swap_dims(1, 2).cast(dtype);
        let out = attention(by_head(q), by_head(k), by_head(v)).cast(DType::F32);
        self.o.forward(out.swap_dims(1, 2).reshape([b, l, h * d]))
    }
}
