//! Products of drawn activations with drawn weights, in floats and in codes.

use burn::prelude::*;

use super::{
    draw::Draw,
    rows::Rows,
    subjects::{Call, Dims},
};
use crate::{Absmax, NestedAbsmax, dynamic_map, linear, matmul_int8, matmul_nf4, reference};

/// Values of a row that share a scale.
const BLOCK: usize = 64;

fn x(draw: &Draw, [m, k, ..]: Dims) -> Tensor<2> {
    draw.activation(1, 1.0, [m, k])
}

fn four(y: Tensor<2>) -> Tensor<4> {
    y.unsqueeze()
}

/// A weight that leaves sums near one, where GELU bends, and a bias.
fn floats(draw: &Draw, [_, k, n, ..]: Dims) -> (Tensor<2>, Option<Tensor<1>>) {
    (draw.activation(2, (k as f32).powf(-0.5), [n, k]), Some(draw.parameter(3, [n])))
}

pub(super) fn linear_own(draw: &Draw, dims: Dims) -> Call {
    let (x, (weight, bias)) = (x(draw, dims), floats(draw, dims));
    Box::new(move || four(linear(x, weight, bias, true)))
}

pub(super) fn linear_plain(draw: &Draw, dims: Dims, rows: &Rows) -> Call {
    let (x, (weight, bias)) = (rows.take(x(draw, dims), 0), floats(draw, dims));
    Box::new(move || four(reference::linear(x, weight, bias, true)))
}

/// By row, as the models have them.
fn eight_bits(draw: &Draw, [_, k, n, ..]: Dims) -> (Tensor<2, Int>, Tensor<2>) {
    (draw.words(2, [n, k / 4]), draw.parameter(3, [n, 1]))
}

pub(super) fn int8_own(draw: &Draw, dims: Dims) -> Call {
    let (x, (words, scales)) = (x(draw, dims), eight_bits(draw, dims));
    Box::new(move || four(matmul_int8(x, words, scales)))
}

pub(super) fn int8_plain(draw: &Draw, dims: Dims, rows: &Rows) -> Call {
    let (x, (words, scales)) = (rows.take(x(draw, dims), 0), eight_bits(draw, dims));
    Box::new(move || four(reference::matmul_int8(x, words, scales)))
}

fn plain_maxima(draw: &Draw, [_, k, n, ..]: Dims) -> (Tensor<2, Int>, Absmax) {
    (draw.words(2, [n, k / 8]), Absmax::Plain(draw.parameter(3, [n, k / BLOCK])))
}

pub(super) fn nf4_own(draw: &Draw, dims: Dims) -> Call {
    let (x, (words, absmax)) = (x(draw, dims), plain_maxima(draw, dims));
    Box::new(move || four(matmul_nf4(x, words, absmax)))
}

pub(super) fn nf4_plain(draw: &Draw, dims: Dims, rows: &Rows) -> Call {
    let (x, (words, absmax)) = (rows.take(x(draw, dims), 0), plain_maxima(draw, dims));
    Box::new(move || four(reference::matmul_nf4(x, words, absmax)))
}

fn nested_maxima(draw: &Draw, [_, k, n, ..]: Dims) -> (Tensor<2, Int>, Absmax) {
    let blocks = n * k / BLOCK;
    let nested = NestedAbsmax {
        codes: draw.words(4, [blocks.div_ceil(4)]),
        absmax: draw.parameter(3, [blocks.div_ceil(256)]),
        map: draw.given(dynamic_map()),
        offset: 2.0,
        block: BLOCK,
    };
    (draw.words(2, [n, k / 8]), Absmax::Nested(nested))
}

pub(super) fn nested_own(draw: &Draw, dims: Dims) -> Call {
    let (x, (words, absmax)) = (x(draw, dims), nested_maxima(draw, dims));
    Box::new(move || four(matmul_nf4(x, words, absmax)))
}

pub(super) fn nested_plain(draw: &Draw, dims: Dims, rows: &Rows) -> Call {
    let (x, (words, absmax)) = (rows.take(x(draw, dims), 0), nested_maxima(draw, dims));
    Box::new(move || four(reference::matmul_nf4(x, words, absmax)))
}
