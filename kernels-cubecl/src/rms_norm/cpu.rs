//! The twin for burn-flex: a row stays in cache between its two passes.

use burn::backend::{TensorMetadata, flex::FlexTensor};

use crate::host::{RowWork, dense, elements, map_rows, sum};

/// See [`crate::rms_norm`].
pub(super) fn rms_norm(x: FlexTensor, weight: FlexTensor, eps: f32) -> FlexTensor {
    let [_, _, width] = x.shape().dims();
    let weight = dense(weight);
    let weight = elements(&weight);
    map_rows(x, width, Work { weight, eps })
}

struct Work<'a> {
    weight: &'a [f32],
    eps: f32,
}

impl RowWork for Work<'_> {
    #[inline(always)]
    fn apply(&self, _r: usize, row: &mut [f32]) {
        let scale = (sum(row, |v| v * v) / row.len() as f32 + self.eps).sqrt().recip();
        for (v, &weight) in row.iter_mut().zip(self.weight) {
            *v = *v * scale * weight;
        }
    }
}
