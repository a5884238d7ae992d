//! The twin for burn-flex: a row stays in cache for mean, variance and modulation.

use burn::backend::{TensorMetadata, flex::FlexTensor};

use crate::{
    host::{dense, elements, map_rows, sum},
    rows::RowMap,
};

/// See [`crate::norm_modulate`].
pub(super) fn norm_modulate(
    x: FlexTensor,
    scale: FlexTensor,
    shift: FlexTensor,
    rows: RowMap,
    eps: f32,
) -> FlexTensor {
    let [_, _, width] = x.shape().dims();
    let (scale, shift) = (dense(scale), dense(shift));
    let (scale, shift) = (elements(&scale), elements(&shift));
    map_rows(x, width, |r, row| {
        let at = rows.at(r) * width;
        normalise(row, &scale[at..at + width], &shift[at..at + width], eps);
    })
}

#[inline(always)]
fn normalise(row: &mut [f32], scale: &[f32], shift: &[f32], eps: f32) {
    let width = row.len() as f32;
    let mean = sum(row, |v| v) / width;
    let variance = sum(row, |v| (v - mean) * (v - mean)) / width;
    let inverse = (variance + eps).sqrt().recip();
    for ((v, &scale), &shift) in row.iter_mut().zip(scale).zip(shift) {
        *v = (*v - mean) * inverse * (1.0 + scale) + shift;
    }
}
