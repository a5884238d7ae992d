//! The convolution all layers share: centred in space, looking back in time.

use burn::{
    module::{Module, Param},
    prelude::*,
};
use wan_kernels::{Conv3dOptions, conv3d, conv3d_after};

use super::{feature_cache::FeatureCache, memory::summed};
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
        if context == 0 {
            return self.forward_after(x, vec![]);
        }
        let (x, history) = cache.slot().advance(x, context);
        self.forward_after(x, history)
    }

    /// `[1, c_in, t, h, w]` to `[1, c_out, t, h, w]`, with the frames of `history` before `x`.
    pub fn forward_after(&self, x: Tensor<5>, history: Vec<Tensor<5>>) -> Tensor<5> {
        let weight = summed(&self.weight);
        let [_, _, k_t, k_h, k_w] = weight.dims();
        let padding = [(k_t - 1, 0), (k_h / 2, k_h / 2), (k_w / 2, k_w / 2)];
        let options = Conv3dOptions { padding, ..Default::default() };
        conv3d_after(x, weight, Some(self.bias.val()), history, options)
    }

    /// As [`Self::forward`], for far fewer outputs than inputs: one frame's products with every tap of time are made
    /// together, and those, not the frames, are what is remembered.
    pub fn forward_by_taps(&self, x: Tensor<5>, cache: &mut FeatureCache) -> Tensor<5> {
        let weight = summed(&self.weight);
        let [outputs, inputs, k_t, k_h, k_w] = weight.dims();
        let (context, frames) = (k_t - 1, x.dims()[2]);
        let weight = weight.permute([2, 0, 1, 3, 4]).reshape([k_t * outputs, inputs, 1, k_h, k_w]);
        let padding = [(0, 0), (k_h / 2, k_h / 2), (k_w / 2, k_w / 2)];
        let products = conv3d(x, weight, None, None, Conv3dOptions { padding, ..Default::default() });
        let history = cache.slot().remember(&products, context);
        let [_, channels, _, h, w] = products.dims();
        let missing = context - history.len();
        let zeros = (missing > 0).then(|| Tensor::zeros([1, channels, missing, h, w], &products.device()));
        let all = Tensor::cat(zeros.into_iter().chain(history).chain([products]).collect(), 2);
        let tap = |tap: usize| {
            let channels = all.clone().slice_dim(1, tap * outputs..(tap + 1) * outputs);
            channels.slice_dim(2, tap..tap + frames)
        };
        let bias = self.bias.val().reshape([1, outputs, 1, 1, 1]);
        (0..k_t).map(tap).fold(bias, |sum, product| sum + product)
    }

    /// Halves time: each output frame sees two new frames and the one before them. `[1, c_in, t, h, w]` to
    /// `[1, c_out, t', h, w]`, where `t'` counts the whole triples.
    pub fn forward_strided(&self, x: Tensor<5>, history: Vec<Tensor<5>>) -> Tensor<5> {
        let context = history.iter().map(|frames| frames.dims()[2]).sum();
        let options = Conv3dOptions { stride: [2, 1, 1], padding: [(context, 0), (0, 0), (0, 0)] };
        conv3d_after(x, summed(&self.weight), Some(self.bias.val()), history, options)
    }
}
