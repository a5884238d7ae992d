//! The steps between stages: half or double the resolution.

use std::ops::Range;

use burn::{
    module::{Module, Param},
    prelude::*,
    tensor::{
        module::interpolate,
        ops::{InterpolateMode, InterpolateOptions},
    },
};
use wan_kernels::{Conv3dOptions, conv3d};

use super::{VaeMemory, causal_conv::CausalConv3d, feature_cache::FeatureCache, memory::summed};
use crate::param::param;

/// Rows of input that a strip of doubled rows is a multiple of.
const STRIP_ROWS: usize = 16;

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

    /// `[1, c, t, h, w]` to `[1, c, t, h / 2, w / 2]`.
    pub fn halve_pixels(&self, x: Tensor<5>) -> Tensor<5> {
        let options = Conv3dOptions { stride: [1, 2, 2], padding: [(0, 0), (0, 1), (0, 1)] };
        self.resample.forward(x, options)
    }

    /// `[1, c, t, h, w]` to `[1, c, t', h, w]`. The first frame of a video stays one frame: where time is halved,
    /// `t' = (t + 1) / 2` for the chunk that holds it and `t / 2` for every other.
    pub fn halve_time(&self, x: Tensor<5>, cache: &mut FeatureCache) -> Tensor<5> {
        match &self.time_conv {
            Some(time_conv) => halve_time(x, time_conv, cache),
            None => x,
        }
    }
}

/// The first frame of a video passes unchanged; after it, three frames in steps of two become one.
fn halve_time(x: Tensor<5>, time_conv: &CausalConv3d, cache: &mut FeatureCache) -> Tensor<5> {
    let slot = cache.slot();
    let first = slot.is_empty().then(|| x.clone().slice_dim(2, 0..1));
    let (x, history) = slot.advance(x, 1);
    match first {
        None => time_conv.forward_strided(x, history),
        Some(first) if x.dims()[2] < 3 => first,
        Some(first) => Tensor::cat(vec![first, time_conv.forward_strided(x, history)], 2),
    }
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

    /// `[1, c_in, t, h, w]` to `[1, c_in, t', h, w]`. Where time is doubled, the first frame of a video stays one frame
    /// and every other becomes two.
    pub fn double_time(&self, x: Tensor<5>, cache: &mut FeatureCache) -> Tensor<5> {
        match &self.time_conv {
            Some(time_conv) => double_time(x, time_conv, cache),
            None => x,
        }
    }

    /// Elements of one frame that [`Self::double_pixels`] makes of `[1, c_in, t, h, w]`.
    pub fn frame_elements(&self, [_, _, _, h, w]: [usize; 5]) -> usize {
        self.resample.outputs() * 4 * h * w
    }

    /// `[1, c_in, t, h, w]` to `[1, c_out, t, 2 h, 2 w]`, in strips of whole rows where `memory` asks for it.
    pub fn double_pixels(&self, x: Tensor<5>, memory: &VaeMemory) -> Tensor<5> {
        let [_, c, t, h, w] = x.dims();
        // Tiles of four rows lie as they do in the whole frame.
        let rows = memory.at_once(4 * c * t * w).next_multiple_of(STRIP_ROWS);
        if rows >= h {
            return self.double_strip(x, 0..h);
        }
        let outputs = self.resample.outputs();
        let y = Tensor::zeros([1, outputs, t, 2 * h, 2 * w], &x.device());
        (0..h).step_by(rows).fold(y, |y, start| {
            let end = (start + rows).min(h);
            let strip = self.double_strip(x.clone(), start..end);
            y.slice_assign([0..1, 0..outputs, 0..t, 2 * start..2 * end, 0..2 * w], strip)
        })
    }

    /// Of rows `rows` of `x`: `[1, c_in, t, h, w]` to `[1, c_out, t, 2 * rows, 2 w]`.
    fn double_strip(&self, x: Tensor<5>, rows: Range<usize>) -> Tensor<5> {
        let h = x.dims()[3];
        let (above, below) = (rows.start.min(1), (h - rows.end).min(1));
        let (start, end) = (rows.start - above, rows.end + below);
        let x = if end - start == h { x } else { x.slice_dim(3, start..end) };
        // Of the two rows that a neighbouring one becomes, the nearer is seen.
        let x = repeat_pixels(x).slice_dim(3, above..2 * (end - start) - below);
        let padding = [(0, 0), (1 - above, 1 - below), (1, 1)];
        self.resample.forward(x, Conv3dOptions { padding, ..Default::default() })
    }
}

/// The first frame of a video passes unchanged and is never seen by the convolution.
fn double_time(x: Tensor<5>, time_conv: &CausalConv3d, cache: &mut FeatureCache) -> Tensor<5> {
    let slot = cache.slot();
    let started = std::mem::replace(&mut slot.started, true);
    let mut doubled = |x| {
        let (x, history) = slot.advance(x, 2);
        interleave(time_conv.forward_after(x, history))
    };
    let frames = x.dims()[2];
    if started {
        return doubled(x);
    }
    if frames == 1 {
        return x;
    }
    let first = x.clone().slice_dim(2, 0..1);
    Tensor::cat(vec![first, doubled(x.slice_dim(2, 1..frames))], 2)
}

/// The two halves of the channels become even and odd frames: `[1, 2 c, t, h, w]` to `[1, c, 2 t, h, w]`.
fn interleave(x: Tensor<5>) -> Tensor<5> {
    let [_, channels, t, h, w] = x.dims();
    let c = channels / 2;
    x.reshape([2, c, t, h * w]).permute([1, 2, 0, 3]).reshape([1, c, 2 * t, h, w])
}

/// Every pixel becomes a square of four: `[1, c, t, h, w]` to `[1, c, t, 2 h, 2 w]`.
pub(super) fn repeat_pixels(x: Tensor<5>) -> Tensor<5> {
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

    fn outputs(&self) -> usize {
        self.bias.lazy_shape()[0]
    }

    /// `[1, c_in, t, h, w]` to `[1, c_out, t, h', w']`.
    fn forward(&self, x: Tensor<5>, options: Conv3dOptions) -> Tensor<5> {
        conv3d(x, summed(&self.weight).unsqueeze_dim(2), Some(self.bias.val()), None, options)
    }
}
