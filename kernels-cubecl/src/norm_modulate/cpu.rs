//! The twin for burn-flex: a row stays in cache for mean, variance and modulation.

use burn::backend::{TensorMetadata, flex::FlexTensor};

use crate::{
    host::{RowWork, dense, elements, map_rows, sum},
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
    map_rows(x, width, Work { scale, shift, rows, eps })
}

struct Work<'a> {
    scale: &'a [f32],
    shift: &'a [f32],
    rows: RowMap,
    eps: f32,
}

impl RowWork for Work<'_> {
    #[inline(always)]
    fn apply(&self, r: usize, row: &mut [f32]) {
        let width = row.len();
        let at = self.rows.at(r) * width;
        let (scale, shift) = (&self.scale[at..at + width], &self.shift[at..at + width]);
        let mean = sum(row, |v| v) / width as f32;
        let variance = sum(row, |v| (v - mean) * (v - mean)) / width as f32;
        let inverse = (variance + self.eps).sqrt().recip();
        for ((v, &scale), &shift) in row.iter_mut().zip(scale).zip(shift) {
            *v = (*v - mean) * inverse * (1.0 + scale) + shift;
        }
    }
}
