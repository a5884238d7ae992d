//! Self- and cross-attention with RMS-normalised queries and keys.

use burn::{
    module::{Module, Param},
    prelude::*,
    tensor::DType,
};
use wan_kernels::{RopeTable, attention, rms_norm_rope};

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

    /// `[b, l, h * d]` f32 to attention's `[b, h, l, d]` in `dtype`, rotated by `rope` if there is one.
    fn forward(&self, x: Tensor<3>, rope: Option<&RopeTable>, heads: usize, dtype: DType) -> Tensor<4> {
        rms_norm_rope(x, self.weight.val(), rope, heads, self.eps, dtype)
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
        let (q, k) = (self.queries(x.clone(), Some(rope)), self.keys(x.clone(), Some(rope)));
        self.attend(q, k, self.values(x))
    }

    /// Attention from the video tokens `[b, l, d]` to text rows `[b, k, d]`; no mask, padding rows count.
    pub fn to(&self, x: Tensor<3>, context: Tensor<3>) -> Tensor<3> {
        self.attend(self.queries(x, None), self.keys(context.clone(), None), self.values(context))
    }

    fn queries(&self, x: Tensor<3>, rope: Option<&RopeTable>) -> Tensor<4> {
        self.norm_q.forward(self.q.forward(x), rope, self.heads, self.o.dtype())
    }

    fn keys(&self, x: Tensor<3>, rope: Option<&RopeTable>) -> Tensor<4> {
        self.norm_k.forward(self.k.forward(x), rope, self.heads, self.o.dtype())
    }

    fn values(&self, x: Tensor<3>) -> Tensor<4> {
        let [b, l, width] = x.dims();
        let v = self.v.forward(x).reshape([b, l, self.heads, width / self.heads]);
        v.swap_dims(1, 2).cast(self.o.dtype())
    }

    /// Attention over `[b, h, l, d]` in the matmuls' dtype, and the output projection; `[b, l, h * d]` f32.
    fn attend(&self, q: Tensor<4>, k: Tensor<4>, v: Tensor<4>) -> Tensor<3> {
        let [b, h, l, d] = q.dims();
        let out = attention(q, k, v).cast(DType::F32);
        self.o.forward(out.swap_dims(1, 2).reshape([b, l, h * d]))
    }
}
