//! The steps between stages: half or double the resolution.

use burn::{
    module::{Module, Param},
    prelude::*,
    tensor::{
        module::interpolate,
        ops::{InterpolateMode, InterpolateOptions},
    },
};
use wan_kernels::{Conv3dOptions, conv3d};

use super::{causal_conv::CausalConv3d, feature_cache::FeatureCache};
use crate::param::param;

/// Halves height and width, and time where there is a `time_conv`.
#[derive(Module, Debug)]
pub(super) struct Downsample {
    resample: Conv2d,
    time_conv: Option<CausalConv3d>,
}

impl Downsample {
    pub fn new(channels: usize, temporal: bool, device: &Device) -> Self {
        Self {
            resample: Conv2d::new(channels, channels, device),
            time_conv: temporal.then(|| CausalConv3d::new(channels, channels, [3, 1, 1], device)),
        }
    }

    /// `[1, c, t, h, w]` to `[1, c, t', h / 2, w / 2]`. The first frame of a video stays one frame:
    /// `t' = (t + 1) / 2` for the chunk that holds it and `t / 2` for every other.
    pub fn forward(&self, x: Tensor<5>, cache: &mut FeatureCache) -> Tensor<5> {
        let options = Conv3dOptions { stride: [1, 2, 2], padding: [(0, 0), (0, 1), (0, 1)] };
        let x = self.resample.forward(x, options);
        match &self.time_conv {
            Some(time_conv) => halve_time(x, time_conv, cache),
            None => x,
        }
    }
}

/// The first frame of a video passes unchanged; after it, three frames in steps of two become one.
fn halve_time(x: Tensor<5>, time_conv: &CausalConv3d, cache: &mut FeatureCache) -> Tensor<5> {
    let slot = cache.slot();
    let history = slot.advance(&x, 1);
    if history.is_some() {
        return time_conv.forward_strided(x, history);
    }
    if x.dims()[2] < 3 {
        return x.slice_dim(2, 0..1);
    }
    let first = x.clone().slice_dim(2, 0..1);
    Tensor::cat(vec![first, time_conv.forward_strided(x, None)], 2)
}

/// Doubles height and width; doubles time where there is a `time_conv`.
#[derive(Module, Debug)]
pub(super) struct Upsample {
    resample: Conv2d,
    time_conv: Option<CausalConv3d>,
}

impl Upsample {
    pub fn new(inputs: usize, outputs: usize, temporal: bool, device: &Device) -> Self {
        Self {
            resample: Conv2d::new(inputs, outputs, device),
            time_conv: temporal.then(|| CausalConv3d::new(inputs, 2 * inputs, [3, 1, 1], device)),
        }
    }

    /// `[1, c_in, t, h, w]` to `[1, c_out, t', 2 h, 2 w]`. The first frame of a video stays one frame; every
    /// other becomes two.
    pub fn forward(&self, x: Tensor<5>, cache: &mut FeatureCache) -> Tensor<5> {
        let x = match &self.time_conv {
            Some(time_conv) => double_time(x, time_conv, cache),
            None => x,
        };
        let options = Conv3dOptions { padding: [(0, 0), (1, 1), (1, 1)], ..Default::default() };
        self.resample.forward(repeat_pixels(x), options)
    }
}

/// The first frame of a video passes unchanged and is never seen by the convolution.
fn double_time(x: Tensor<5>, time_conv: &CausalConv3d, cache: &mut FeatureCache) -> Tensor<5> {
    let slot = cache.slot();
    if slot.started {
        let history = slot.advance(&x, 2);
        return interleave(time_conv.forward_after(x, history));
    }
    slot.started = true;
    let frames = x.dims()[2];
    if frames == 1 {
        return x;
    }
    let first = x.clone().slice_dim(2, 0..1);
    let rest = x.slice_dim(2, 1..frames);
    let history = slot.advance(&rest, 2);
    Tensor::cat(vec![first, interleave(time_conv.forward_after(rest, history))], 2)
}

/// The two halves of the channels become even and odd frames: `[1, 2 c, t, h, w]` to `[1, c, 2 t, h, w]`.
fn interleave(x: Tensor<5>) -> Tensor<5> {
    let [_, channels, t, h, w] = x.dims();
    let c = channels / 2;
    x.reshape([2, c, t, h * w]).permute([1, 2, 0, 3]).reshape([1, c, 2 * t, h, w])
}

/// Every pixel becomes a square of four: `[1, c, t, h, w]` to `[1, c, t, 2 h, 2 w]`.
fn repeat_pixels(x: Tensor<5>) -> Tensor<5> {
    let [_, c, t, h, w] = x.dims();
    let options = InterpolateOptions::new(InterpolateMode::Nearest).with_output_size([2 * h, 2 * w]);
    interpolate(x.reshape([1, c * t, h, w]), options).reshape([1, c, t, 2 * h, 2 * w])
}

/// A 3x3 convolution of each frame for itself.
#[derive(Module, Debug)]
struct Conv2d {
    weight: Param<Tensor<4>>,
    bias: Param<Tensor<1>>,
}

impl Conv2d {
    fn new(inputs: usize, outputs: usize, device: &Device) -> Self {
        Self { weight: param([outputs, inputs, 3, 3], device), bias: param([outputs], device) }
    }

    /// `[1, c_in, t, h, w]` to `[1, c_out, t, h', w']`.
    fn forward(&self, x: Tensor<5>, options: Conv3dOptions) -> Tensor<5> {
        conv3d(x, self.weight.val().unsqueeze_dim(2), Some(self.bias.val()), None, options)
    }
}
