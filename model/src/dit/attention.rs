//! Self- and cross-attention with RMS-normalised queries and keys.

use burn::{
    module::{Module, Param},
    prelude::*,
    tensor::DType,
};
use tracing::instrument;
use wan_kernels::{RopeTable, attention, padded_attention, rms_norm_rope};

use super::context::{Context, KeysValues};
use crate::{
    Linear, WanConfig,
    linear::{LargeLinears, visit_all},
    param::param,
};

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
    #[instrument(name = "norm and rotation", level = "trace", skip_all)]
    fn forward(&self, x: Tensor<3>, rope: Option<&RopeTable>, heads: usize, dtype: DType) -> Tensor<4> {
        rms_norm_rope(x, self.weight.val(), rope, heads, self.eps, dtype)
    }
}

/// Keys and values of image rows; queries and output are those of the text.
#[derive(Module, Debug)]
pub struct ImageAttention {
    k: Linear,
    v: Linear,
    norm_k: QkNorm,
}

impl ImageAttention {
    /// `None` for a transformer without the branch.
    fn new(config: &WanConfig, device: &Device) -> Option<Self> {
        config.image_dim()?;
        let linear = || Linear::new(config.dim, config.dim, device);
        Some(Self { k: linear(), v: linear(), norm_k: QkNorm::new(config, device) })
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
    image: Option<ImageAttention>,
    #[module(skip)]
    heads: usize,
}

impl Attention {
    /// Self-attention.
    pub(super) fn among_video(config: &WanConfig, device: &Device) -> Self {
        let linear = || Linear::new(config.dim, config.dim, device);
        let norm = || QkNorm::new(config, device);
        Self {
            q: linear(),
            k: linear(),
            v: linear(),
            o: linear(),
            norm_q: norm(),
            norm_k: norm(),
            image: None,
            heads: config.heads,
        }
    }

    /// Cross-attention, with the image branch if the transformer has one.
    pub(super) fn to_prompt(config: &WanConfig, device: &Device) -> Self {
        Self { image: ImageAttention::new(config, device), ..Self::among_video(config, device) }
    }

    /// Full attention among the video tokens `[b, l, d]`, queries and keys rotated by position.
    #[instrument(name = "self-attention", level = "trace", skip_all)]
    pub fn among(&self, x: Tensor<3>, rope: &RopeTable) -> Tensor<3> {
        let q = self.heads(&self.q, &self.norm_q, x.clone(), Some(rope));
        let k = self.heads(&self.k, &self.norm_k, x.clone(), Some(rope));
        self.o.forward(attend(q, k, self.values(&self.v, x)))
    }

    /// Attention from the video tokens `[b, l, d]` to a text, no mask, padding rows count; and, apart from it, to an
    /// image. The two results are summed before the output projection.
    #[instrument(name = "cross-attention", level = "trace", skip_all)]
    pub(super) fn to(&self, x: Tensor<3>, text: KeysValues, image: Option<KeysValues>) -> Tensor<3> {
        let q = self.heads(&self.q, &self.norm_q, x, None);
        let out = attend_to(q.clone(), text);
        self.o.forward(match image {
            Some(image) => out + attend_to(q, image),
            None => out,
        })
    }

    /// What block `index`, whose cross-attention this is, reads of `text`.
    pub(super) fn text(&self, index: usize, text: &Context) -> KeysValues {
        text.keys_values(index, |rows| self.keys_values([&self.k, &self.v], &self.norm_k, rows))
    }

    /// And of `image`, if it has the branch.
    pub(super) fn image(&self, index: usize, image: &Context) -> Option<KeysValues> {
        let ImageAttention { k, v, norm_k } = self.image.as_ref()?;
        Some(image.keys_values(index, |rows| self.keys_values([k, v], norm_k, rows)))
    }

    fn keys_values(&self, [k, v]: [&Linear; 2], norm: &QkNorm, rows: &Tensor<3>) -> [Tensor<4>; 2] {
        [self.heads(k, norm, rows.clone(), None), self.values(v, rows.clone())]
    }

    /// Normalised queries or keys, `[b, h, l, d]` in the matmuls' dtype.
    fn heads(&self, linear: &Linear, norm: &QkNorm, x: Tensor<3>, rope: Option<&RopeTable>) -> Tensor<4> {
        norm.forward(linear.forward(x), rope, self.heads, self.o.dtype())
    }

    fn values(&self, linear: &Linear, x: Tensor<3>) -> Tensor<4> {
        let [b, l, width] = x.dims();
        let v = linear.forward(x).reshape([b, l, self.heads, width / self.heads]);
        v.swap_dims(1, 2).cast(self.o.dtype())
    }
}

impl LargeLinears for Attention {
    fn large_linears(&mut self, at: &str, visit: &mut dyn FnMut(&str, &mut Linear)) {
        let Self { q, k, v, o, image, .. } = self;
        visit_all(at, [("q", q), ("k", k), ("v", v), ("o", o)], visit);
        if let Some(ImageAttention { k, v, .. }) = image {
            visit_all(at, [("image.k", k), ("image.v", v)], visit);
        }
    }
}

#[instrument(name = "attention", level = "trace", skip_all)]
fn attend(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>) -> Tensor<3> {
    by_token(attention(q, k, v))
}

#[instrument(name = "attention", level = "trace", skip_all)]
fn attend_to(q: Tensor<4>, KeysValues { k, v, times }: KeysValues) -> Tensor<3> {
    by_token(padded_attention(q, k, v, times))
}

/// `[b, h, l, d]` in the matmuls' dtype to `[b, l, h * d]` f32.
fn by_token(x: Tensor<4>) -> Tensor<3> {
    let [b, h, l, d] = x.dims();
    x.cast(DType::F32).swap_dims(1, 2).reshape([b, l, h * d])
}
