//! The convolution all layers share: centred in space, looking back in time.

use burn::{
    module::{Module, Param},
    prelude::*,
};
use wan_kernels::{Conv3dOptions, conv3d};

use super::feature_cache::FeatureCache;
use crate::param::param;

/// A convolution of stride one whose output frame sees its own input frame and the ones before it.
#[derive(Module, Debug)]
pub(super) struct CausalConv3d {
    weight: Param<Tensor<5>>,
    bias: Param<Tensor<1>>,
}

impl CausalConv3d {
    /// A convolution over `kernel` frames, rows and columns, without memory until loaded.
    pub fn new(inputs: usize, outputs: usize, kernel: [usize; 3], device: &Device) -> Self {
        let [k_t, k_h, k_w] = kernel;
        Self { weight: param([outputs, inputs, k_t, k_h, k_w], device), bias: param([outputs], device) }
    }

    /// A convolution of one pixel with itself.
    pub fn pointwise(inputs: usize, outputs: usize, device: &Device) -> Self {
        Self::new(inputs, outputs, [1; 3], device)
    }

    /// `[1, c_in, t, h, w]` to `[1, c_out, t, h, w]`; takes its slot of the cache if it looks back.
    pub fn forward(&self, x: Tensor<5>, cache: &mut FeatureCache) -> Tensor<5> {
        let context = self.weight.lazy_shape()[2] - 1;
        let history = if context > 0 { cache.slot().advance(&x, context) } else { None };
        self.forward_after(x, history)
    }

    /// `[1, c_in, t, h, w]` to `[1, c_out, t, h, w]`, with `history` before `x`.
    pub fn forward_after(&self, x: Tensor<5>, history: Option<Tensor<5>>) -> Tensor<5> {
        let weight = self.weight.val();
        let [_, _, k_t, k_h, k_w] = weight.dims();
        let padding = [(k_t - 1, 0), (k_h / 2, k_h / 2), (k_w / 2, k_w / 2)];
        let options = Conv3dOptions { padding, ..Default::default() };
        conv3d(x, weight, Some(self.bias.val()), history, options)
    }

    /// Halves time: each output frame sees two new frames and the one before them. `[1, c_in, t, h, w]` to
    /// `[1, c_out, t', h, w]`, where `t'` counts the whole triples.
    pub fn forward_strided(&self, x: Tensor<5>, history: Option<Tensor<5>>) -> Tensor<5> {
        let context = history.as_ref().map_or(0, |frames| frames.dims()[2]);
        let options = Conv3dOptions { stride: [2, 1, 1], padding: [(context, 0), (0, 0), (0, 0)] };
        conv3d(x, self.weight.val(), Some(self.bias.val()), history, options)
    }
}
