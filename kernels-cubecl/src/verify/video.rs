//! Convolutions and the channel norm on drawn videos.

use burn::{prelude::*, tensor::ops::PadMode};

use super::{
    draw::Draw,
    rows::Rows,
    subjects::{Call, Dims},
};
use crate::{Conv3dOptions, channel_norm, conv3d, reference};

/// A kind of convolution: its kernel, its steps, and the rim of rows and columns.
struct Kind {
    kernel: [usize; 3],
    stride: [usize; 3],
    rim: (usize, usize),
}

/// The convolutions of the video autoencoder.
const KINDS: [Kind; 3] = [
    Kind { kernel: [3, 3, 3], stride: [1; 3], rim: (1, 1) },
    Kind { kernel: [3, 1, 1], stride: [1; 3], rim: (0, 0) },
    Kind { kernel: [1, 3, 3], stride: [1, 2, 2], rim: (0, 1) },
];
pub(super) const CAUSAL: usize = 0;
pub(super) const IN_TIME: usize = 1;
pub(super) const HALVING: usize = 2;

impl Kind {
    fn options(&self, rows: (usize, usize)) -> Conv3dOptions {
        Conv3dOptions { stride: self.stride, padding: [(self.kernel[0] - 1, 0), rows, self.rim] }
    }

    /// Of the result for `rows` of the input.
    fn rows(&self, rows: usize) -> usize {
        (rows + self.rim.0 + self.rim.1 - self.kernel[1]) / self.stride[1] + 1
    }
}

pub(super) fn rows<const KIND: usize>([_, _, _, h, _]: Dims) -> usize {
    KINDS[KIND].rows(h)
}

/// A video, the frames before it, weights and biases.
struct Arguments {
    x: Tensor<5>,
    history: Option<Tensor<5>>,
    weight: Tensor<5>,
    bias: Tensor<1>,
}

/// Of sizes `[c_in, c_out, t, h, w]`. One frame of history is missing where the kernel looks back, and is zeros.
fn arguments(draw: &Draw, kind: &Kind, [inputs, outputs, t, h, w]: Dims) -> Arguments {
    let [k_t, k_h, k_w] = kind.kernel;
    Arguments {
        x: draw.activation(1, 1.0, [1, inputs, t, h, w]),
        history: (k_t > 1).then(|| draw.activation(2, 1.0, [1, inputs, k_t - 2, h, w])),
        weight: draw.activation(3, 0.1, [outputs, inputs, k_t, k_h, k_w]),
        bias: draw.activation(4, 1.0, [outputs]),
    }
}

pub(super) fn own<const KIND: usize>(draw: &Draw, dims: Dims) -> Call {
    let kind = &KINDS[KIND];
    let Arguments { x, history, weight, bias } = arguments(draw, kind, dims);
    Box::new(move || conv3d(x, weight, Some(bias), history, kind.options(kind.rim)).squeeze_dim(0))
}

/// Each row of the result by itself, from the rows of the input that it depends on.
pub(super) fn plain<const KIND: usize>(draw: &Draw, dims: Dims, rows: &Rows) -> Call {
    let kind = &KINDS[KIND];
    let Arguments { x, history, weight, bias } = arguments(draw, kind, dims);
    let [x, history] = [Some(x), history].map(|video| video.map(|video| windows(video, kind, rows)));
    Box::new(move || {
        let x = x.expect("there is a video");
        let y = reference::conv3d(x, weight, Some(bias), history, kind.options((0, 0)));
        y.squeeze_dim::<4>(3).permute([1, 2, 0, 3])
    })
}

/// `[1, c, t, h, w]` to `[rows, c, t, k_h, w]`: what each row of the result sees.
fn windows(video: Tensor<5>, kind: &Kind, rows: &Rows) -> Tensor<5> {
    let [_, c, t, _, w] = video.dims();
    let [_, k_h, _] = kind.kernel;
    let seen = rows.picked().iter().flat_map(|row| (0..k_h).map(move |k| (row * kind.stride[1] + k) as i32));
    let indices = TensorData::new(seen.collect(), [rows.len() * k_h]);
    let indices = Tensor::<1, Int>::from_data(indices, &video.device());
    let padded = video.pad([kind.rim, (0, 0)], PadMode::Constant(0.0));
    padded.select(3, indices).reshape([c, t, rows.len(), k_h, w]).permute([2, 0, 1, 3, 4])
}

/// Of sizes `[c, t, h, w]`.
fn channels(draw: &Draw, [c, t, h, w, _]: Dims) -> (Tensor<5>, Tensor<1>) {
    (draw.activation(1, 1.0, [1, c, t, h, w]), draw.parameter(2, [c]))
}

pub(super) fn norm_own(draw: &Draw, dims: Dims) -> Call {
    let (x, gamma) = channels(draw, dims);
    Box::new(move || channel_norm(x, gamma, true).squeeze_dim(0))
}

pub(super) fn norm_plain(draw: &Draw, dims: Dims, rows: &Rows) -> Call {
    let (x, gamma) = channels(draw, dims);
    let x = rows.take(x, 3);
    Box::new(move || reference::channel_norm(x, gamma, true).squeeze_dim(0))
}
