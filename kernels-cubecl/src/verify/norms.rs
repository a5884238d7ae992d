//! Norms over drawn rows.

use burn::prelude::*;

use super::{
    draw::Draw,
    rows::Rows,
    subjects::{Call, Dims},
};
use crate::{RopeTable, norm_modulate, reference, rms_norm, rms_norm_rope};

const EPS: f64 = 1e-6;

/// Rows, one scale, one shift.
fn modulation(draw: &Draw, [b, l, d, ..]: Dims) -> [Tensor<3>; 3] {
    let row = |seed| draw.parameter(seed, [1, 1, d]);
    [draw.activation(1, 1.0, [b, l, d]), row(2), row(3)]
}

pub(super) fn modulated_own(draw: &Draw, dims: Dims) -> Call {
    let [x, scale, shift] = modulation(draw, dims);
    Box::new(move || norm_modulate(x, scale, shift, EPS).unsqueeze())
}

pub(super) fn modulated_plain(draw: &Draw, dims: Dims, rows: &Rows) -> Call {
    let [x, scale, shift] = modulation(draw, dims);
    let x = rows.take(x, 1);
    Box::new(move || reference::norm_modulate(x, scale, shift, EPS).unsqueeze())
}

/// Rows whose squares add up to more than f16 holds, and weights.
fn weighted(draw: &Draw, [b, l, d, ..]: Dims) -> (Tensor<3>, Tensor<1>) {
    (draw.activation(1, 30.0, [b, l, d]), draw.parameter(2, [d]))
}

pub(super) fn rms_own(draw: &Draw, dims: Dims) -> Call {
    let (x, weight) = weighted(draw, dims);
    Box::new(move || rms_norm(x, weight, EPS).unsqueeze())
}

pub(super) fn rms_plain(draw: &Draw, dims: Dims, rows: &Rows) -> Call {
    let (x, weight) = weighted(draw, dims);
    let x = rows.take(x, 1);
    Box::new(move || reference::rms_norm(x, weight, EPS).unsqueeze())
}

/// Projections in f32, as a model has them whatever its dtype, weights and a rotation.
fn projections(draw: &Draw, [b, l, h, d, _]: Dims) -> (Tensor<3>, Tensor<1>, RopeTable) {
    (draw.parameter(1, [b, l, h * d]), draw.parameter(2, [h * d]), draw.table(3, l, d))
}

pub(super) fn rotated_own(draw: &Draw, dims: Dims) -> Call {
    let ((x, weight, table), dtype) = (projections(draw, dims), draw.dtype());
    Box::new(move || rms_norm_rope(x, weight, Some(&table), dims[2], EPS, dtype))
}

pub(super) fn rotated_plain(draw: &Draw, dims: Dims, rows: &Rows) -> Call {
    let ((x, weight, table), dtype) = (projections(draw, dims), draw.dtype());
    let x = rows.take(x, 1);
    let table = RopeTable { cos: rows.take(table.cos, 0), sin: rows.take(table.sin, 0) };
    Box::new(move || reference::rms_norm_rope(x, weight, Some(&table), dims[2], EPS, dtype))
}
