//! A tiny stand-in for the decoder, for previews: TAEHV, <https://github.com/madebyollin/taehv>.

use burn::{
    module::{Module, Param},
    prelude::*,
    tensor::activation::relu,
};
use wan_kernels::{Conv3dOptions, conv3d};

use super::resample::repeat_pixels;
use crate::param::param;

/// Frames that each stage makes of one.
const GROWTH: [usize; 3] = [1, 2, 2];
/// Blocks with memory in each stage.
const BLOCKS: usize = 3;
/// Latents beyond about this size are flattened out.
const LIMIT: f32 = 3.0;

/// What the weights of a [`TinyDecoder`] say about its layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TinyConfig {
    /// Latent channels.
    pub z_dim: usize,
    /// Channels of the three stages, and of what the last one gives.
    pub widths: [usize; 4],
    /// Rows of the three convolutions that make frames of one; of more than needed the last ones count.
    pub grown: [usize; 3],
    /// Pixels along a side that one output position stands for.
    pub patch: usize,
}

/// From latents straight to pixels, by convolutions in space whose blocks see the frame before.
#[derive(Module, Debug)]
pub struct TinyDecoder {
    conv_in: Conv,
    stages: Vec<Stage>,
    conv_out: Conv,
    #[module(skip)]
    patch: usize,
}

#[derive(Module, Debug)]
struct Stage {
    blocks: Vec<MemoryBlock>,
    grow: PlainConv,
    conv: PlainConv,
    #[module(skip)]
    growth: usize,
}

#[derive(Module, Debug)]
struct MemoryBlock {
    conv1: Conv,
    conv2: Conv,
    conv3: Conv,
}

#[derive(Module, Debug)]
struct Conv {
    weight: Param<Tensor<4>>,
    bias: Param<Tensor<1>>,
}

/// Without bias.
#[derive(Module, Debug)]
struct PlainConv {
    weight: Param<Tensor<4>>,
}

impl TinyDecoder {
    /// A decoder without memory until loaded.
    pub fn new(config: &TinyConfig, device: &Device) -> Self {
        let [first, .., last] = config.widths;
        let stage =
            |index: usize| Stage::new(&config.widths[index..], config.grown[index], GROWTH[index], device);
        Self {
            conv_in: Conv::new(config.z_dim, first, device),
            stages: (0..GROWTH.len()).map(stage).collect(),
            conv_out: Conv::new(last, 3 * config.patch * config.patch, device),
            patch: config.patch,
        }
    }

    /// # Shapes
    /// - `latents`: `[1, z, t, h, w]`, normalised as the transformer has them
    /// - output: `[1, 3, 4 t - 3, height, width]` in 0..1
    pub fn forward(&self, latents: Tensor<5>) -> Tensor<5> {
        let x = (latents / LIMIT).tanh() * LIMIT;
        let x = relu(self.conv_in.forward(x));
        let x = self.stages.iter().fold(x, |x, stage| stage.forward(x));
        let x = self.shuffle(self.conv_out.forward(relu(x)).clamp(0.0, 1.0));
        let frames = x.dims()[2];
        // What the first latent frame, which stands for one frame, makes too many.
        x.slice_dim(2, GROWTH.iter().product::<usize>() - 1..frames)
    }

    /// Channels `c p p + row p + column` to `p` by `p` pixels.
    fn shuffle(&self, x: Tensor<5>) -> Tensor<5> {
        let ([_, _, t, h, w], p) = (x.dims(), self.patch);
        let x: Tensor<6> = x.reshape([3, p, p, t, h, w]);
        x.permute([0, 3, 4, 1, 5, 2]).reshape([1, 3, t, h * p, w * p])
    }
}

impl Stage {
    /// From `widths[0]` to `widths[1]` channels.
    fn new(widths: &[usize], grown: usize, growth: usize, device: &Device) -> Self {
        let (width, next) = (widths[0], widths[1]);
        Self {
            blocks: (0..BLOCKS).map(|_| MemoryBlock::new(width, device)).collect(),
            grow: PlainConv { weight: param([grown, width, 1, 1], device) },
            conv: PlainConv { weight: param([next, width, 3, 3], device) },
            growth,
        }
    }

    /// `[1, c, t, h, w]` to `[1, c', growth t, 2 h, 2 w]`.
    fn forward(&self, x: Tensor<5>) -> Tensor<5> {
        let x = self.blocks.iter().fold(x, |x, block| block.forward(x));
        let [_, c, t, h, w] = x.dims();
        let (k, rows) = (self.growth, self.grow.weight.val());
        let all = rows.dims()[0];
        let rows = rows.slice_dim(0, all.saturating_sub(k * c)..all);
        // Before the pixels are doubled, which changes nothing for one pixel's convolution.
        let grown: Tensor<6> = convolve(x, rows, None).reshape([1, k, c, t, h, w]);
        let x = grown.permute([0, 2, 3, 1, 4, 5]).reshape([1, c, t * k, h, w]);
        convolve(repeat_pixels(x), self.conv.weight.val(), None)
    }
}

impl MemoryBlock {
    fn new(width: usize, device: &Device) -> Self {
        Self {
            conv1: Conv::new(2 * width, width, device),
            conv2: Conv::new(width, width, device),
            conv3: Conv::new(width, width, device),
        }
    }

    /// Each frame beside the one before it; before the first one there is nothing.
    fn forward(&self, x: Tensor<5>) -> Tensor<5> {
        let [_, c, t, h, w] = x.dims();
        let nothing = Tensor::zeros([1, c, 1, h, w], &x.device());
        let earlier = (t > 1).then(|| x.clone().slice_dim(2, 0..t - 1));
        let before = Tensor::cat(std::iter::once(nothing).chain(earlier).collect(), 2);
        let y = Tensor::cat(vec![x.clone(), before], 1);
        let y = relu(self.conv2.forward(relu(self.conv1.forward(y))));
        relu(self.conv3.forward(y) + x)
    }
}

impl Conv {
    fn new(inputs: usize, outputs: usize, device: &Device) -> Self {
        Self { weight: param([outputs, inputs, 3, 3], device), bias: param([outputs], device) }
    }

    fn forward(&self, x: Tensor<5>) -> Tensor<5> {
        convolve(x, self.weight.val(), Some(self.bias.val()))
    }
}

/// `[1, c_in, t, h, w]` to `[1, c_out, t, h, w]`, frame by frame.
fn convolve(x: Tensor<5>, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<5> {
    let [_, _, rows, columns] = weight.dims();
    let padding = [(0, 0), (rows / 2, rows / 2), (columns / 2, columns / 2)];
    conv3d(x, weight.unsqueeze_dim(2), bias, None, Conv3dOptions { padding, ..Default::default() })
}
