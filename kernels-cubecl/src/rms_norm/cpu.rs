//! The twin for burn-flex: a row stays in cache between its two passes.

use burn::backend::{TensorMetadata, flex::FlexTensor};

use crate::host::{dense, elements, map_rows, sum};

/// See [`crate::rms_norm`].
pub(super) fn rms_norm(x: FlexTensor, weight: FlexTensor, eps: f32) -> FlexTensor {
    let [_, _, width] = x.shape().dims();
    let weight = dense(weight);
    let weight = elements(&weight);
    map_rows(x, width, |_, row| normalise(row, weight, eps))
}

#[inline(always)]
fn normalise(row: &mut [f32], weight: &[f32], eps: f32) {
    let scale = (sum(row, |v| v * v) / row.len() as f32 + eps).sqrt().recip();
    for (v, &weight) in row.iter_mut().zip(weight) {
        *v = *v * scale * weight;
    }
}
