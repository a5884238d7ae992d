//! The twin for burn-flex.

use burn::backend::{TensorMetadata, flex::FlexTensor};

use crate::{
    host::{dense, elements, map_rows},
    rows::RowMap,
};

/// See [`crate::gate_residual`].
pub(super) fn gate_residual(x: FlexTensor, y: FlexTensor, gate: FlexTensor, rows: RowMap) -> FlexTensor {
    let [_, _, width] = x.shape().dims();
    let (y, gate) = (dense(y), dense(gate));
    let (y, gate) = (elements(&y), elements(&gate));
    map_rows(x, width, |r, row| {
        let gate = &gate[rows.at(r) * width..][..width];
        for ((x, &y), &gate) in row.iter_mut().zip(&y[r * width..][..width]).zip(gate) {
            *x += y * gate;
        }
    })
}
