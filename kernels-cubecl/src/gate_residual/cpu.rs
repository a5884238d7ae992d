//! The twin for burn-flex.

use burn::backend::{TensorMetadata, flex::FlexTensor};

use crate::{
    host::{RowWork, dense, elements, map_rows},
    rows::RowMap,
};

/// See [`crate::gate_residual`].
pub(super) fn gate_residual(x: FlexTensor, y: FlexTensor, gate: FlexTensor, rows: RowMap) -> FlexTensor {
    let [_, _, width] = x.shape().dims();
    let (y, gate) = (dense(y), dense(gate));
    let (y, gate) = (elements(&y), elements(&gate));
    map_rows(x, width, Work { y, gate, rows })
}

struct Work<'a> {
    y: &'a [f32],
    gate: &'a [f32],
    rows: RowMap,
}

impl RowWork for Work<'_> {
    #[inline(always)]
    fn apply(&self, r: usize, row: &mut [f32]) {
        let width = row.len();
        let y = &self.y[r * width..][..width];
        let gate = &self.gate[self.rows.at(r) * width..][..width];
        for ((x, &y), &gate) in row.iter_mut().zip(y).zip(gate) {
            *x += y * gate;
        }
    }
}
