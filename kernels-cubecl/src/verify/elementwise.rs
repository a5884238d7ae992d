//! Gates, activations and the guided step on drawn tensors, each in the place of its first argument as in a model.

use burn::prelude::*;

use super::{
    draw::Draw,
    rows::Rows,
    subjects::{Call, Dims},
};
use crate::{GuidanceStep, gate_residual, gelu, gelu_bias, guidance_step, reference, silu};

const STEP: GuidanceStep = GuidanceStep { scale: 5.0, keep: 1.0, flow: -0.03 };

/// Spread of an activation function's argument: its curved part and both of its ends.
const WIDE: f32 = 4.0;

/// The residual stream in f32, a branch, one gate.
fn branch(draw: &Draw, [b, l, d, ..]: Dims) -> [Tensor<3>; 3] {
    let [x, gate] = [draw.parameter(1, [b, l, d]), draw.parameter(3, [1, 1, d])];
    [x, draw.activation(2, 1.0, [b, l, d]), gate]
}

pub(super) fn gated_own(draw: &Draw, dims: Dims) -> Call {
    let [x, y, gate] = branch(draw, dims);
    Box::new(move || gate_residual(x, y, gate).unsqueeze())
}

pub(super) fn gated_plain(draw: &Draw, dims: Dims, rows: &Rows) -> Call {
    let [x, y, gate] = branch(draw, dims);
    let [x, y] = [x, y].map(|t| rows.take(t, 1));
    Box::new(move || reference::gate_residual(x, y, gate).unsqueeze())
}

fn hidden(draw: &Draw, [b, l, d, ..]: Dims) -> (Tensor<3>, Tensor<1>) {
    (draw.activation(1, WIDE, [b, l, d]), draw.activation(2, 1.0, [d]))
}

pub(super) fn biased_own(draw: &Draw, dims: Dims) -> Call {
    let (x, bias) = hidden(draw, dims);
    Box::new(move || gelu_bias(x, bias).unsqueeze())
}

pub(super) fn biased_plain(draw: &Draw, dims: Dims, rows: &Rows) -> Call {
    let (x, bias) = hidden(draw, dims);
    let x = rows.take(x, 1);
    Box::new(move || reference::gelu_bias(x, bias).unsqueeze())
}

pub(super) fn gelu_own(draw: &Draw, dims: Dims) -> Call {
    let (x, _) = hidden(draw, dims);
    Box::new(move || gelu(x).unsqueeze())
}

pub(super) fn gelu_plain(draw: &Draw, dims: Dims, rows: &Rows) -> Call {
    let (x, _) = hidden(draw, dims);
    let x = rows.take(x, 1);
    Box::new(move || reference::gelu(x).unsqueeze())
}

pub(super) fn silu_own(draw: &Draw, [c, f, h, w, _]: Dims) -> Call {
    let x = draw.activation(1, WIDE, [c, f, h, w]);
    Box::new(move || silu(x))
}

pub(super) fn silu_plain(draw: &Draw, [c, f, h, w, _]: Dims, rows: &Rows) -> Call {
    let x = rows.take(draw.activation(1, WIDE, [c, f, h, w]), 2);
    Box::new(move || reference::silu(x))
}

/// Latents and two predictions.
fn latents(draw: &Draw, [c, f, h, w, _]: Dims) -> [Tensor<4>; 3] {
    [1, 2, 3].map(|seed| draw.parameter(seed, [c, f, h, w]))
}

pub(super) fn guided_own(draw: &Draw, dims: Dims) -> Call {
    let [x, cond, uncond] = latents(draw, dims);
    Box::new(move || guidance_step(x, cond, uncond, STEP))
}

pub(super) fn guided_plain(draw: &Draw, dims: Dims, rows: &Rows) -> Call {
    let [x, cond, uncond] = latents(draw, dims).map(|t| rows.take(t, 2));
    Box::new(move || reference::guidance_step(x, cond, uncond, STEP))
}
