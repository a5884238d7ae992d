//! The twin for burn-flex: Winograd's minimal filtering where a 3x3 kernel passes over a plane in steps of one,
//! products of gathered patches everywhere else.
//!
//! Frames are read where they lie, those of the history too. A result is a chain of sums over the taps of time and the
//! channels, in an order that neither blocks nor threads nor the number of frames change: a frame is the same to the
//! last bit in whatever chunk it comes.
//!
//! Against PyTorch 2.15, mean of three runs each, one after the other, by the processor time of one thread on two AVX2
//! cores that other work kept busy, in ms: 3x3x3 on 4x60x104 with 96 channels 63 to 139, with 192 247 to 533; with 384
//! on one such frame 273 to 533, of which 60 go into the filters; 3x1x1 from 384 to 768 channels 150 to 132; 1x3x3 in
//! steps of two 77 to 76.

mod direct;
mod geometry;
mod problem;
mod share;
mod transform;
mod winograd;

use burn::{
    backend::{Flex, TensorMetadata, flex::FlexTensor, ops::FloatTensorOps},
    tensor::{DType, FloatDType},
};
use half::f16;

use self::{
    geometry::Geometry,
    problem::{Pixels, Problem, Video},
};
use super::{Conv3dOptions, shape::ConvShape};
use crate::host::{dense, elements, new_values, tensor};

/// See [`crate::conv3d_after`].
pub(super) fn conv3d(
    x: FlexTensor,
    weight: FlexTensor,
    bias: Option<FlexTensor>,
    history: Vec<FlexTensor>,
    options: Conv3dOptions,
) -> FlexTensor {
    let dtype = weight.dtype();
    let (weight, bias) = (dense(weight), bias.map(dense));
    let bias_dims = bias.as_ref().map(|bias| bias.shape().dims());
    let shape = ConvShape::new(x.shape().dims(), weight.shape().dims(), bias_dims, past(&history), options)
        .unwrap_or_else(|error| panic!("{error}"));
    let shape = Geometry::new(shape, options);
    let minimal = winograd::suits(&shape);
    let x = readable(x, minimal);
    let history: Vec<_> = history.into_iter().map(|frames| readable(frames, minimal)).collect();
    let history: Vec<_> = history.iter().map(video).collect();
    let (weight, bias) = (elements(&weight), bias.as_ref().map(elements));
    let problem = Problem { shape, x: video(&x), history: &history, weight, bias };
    let output = shape.output();
    let values = new_values(output.iter().product(), |out| match minimal {
        true => winograd::convolve(&problem, out),
        false => direct::convolve(&problem, out),
    });
    tensor(values, output.to_vec(), dtype)
}

/// The shape of all pieces in one.
fn past(history: &[FlexTensor]) -> Option<[usize; 5]> {
    let dims: Vec<[usize; 5]> = history.iter().map(|frames| frames.shape().dims()).collect();
    let [b, c, _, h, w] = *dims.first()?;
    Some([b, c, dims.iter().map(|dims| dims[2]).sum(), h, w])
}

/// `x` itself if its rows follow each other within a frame, else a copy; in f32 unless it is f16 and the form can read
/// that (`half`).
fn readable(x: FlexTensor, half: bool) -> FlexTensor {
    let x = if half && x.dtype() == DType::F16 { x } else { Flex::float_cast(x, FloatDType::F32) };
    let strides = x.layout().strides();
    let rows = x.layout().shape()[4] as isize;
    if strides[3..] == [rows, 1] && strides.iter().all(|&s| s >= 0) { x } else { x.to_contiguous() }
}

fn video(x: &FlexTensor) -> Video<'_> {
    let layout = x.layout();
    let [.., frames, height, width] = layout.shape().dims::<5>();
    let at = |dim: usize| layout.strides()[dim].unsigned_abs();
    let pixels = match x.dtype() {
        DType::F16 => Pixels::F16(&x.storage::<f16>()[layout.start_offset()..]),
        _ => Pixels::F32(&x.storage::<f32>()[layout.start_offset()..]),
    };
    Video { pixels, strides: [at(0), at(1), at(2)], frames, plane: height * width }
}
