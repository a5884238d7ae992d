//! The twin for burn-flex.

use burn::backend::{TensorMetadata, flex::FlexTensor};

use crate::host::{PieceWork, RowWork, dense, elements, map_pieces, map_rows, sigmoid};

/// See [`crate::gelu_bias`].
pub(super) fn gelu_bias(x: FlexTensor, bias: FlexTensor) -> FlexTensor {
    let [_, _, width] = x.shape().dims();
    let bias = dense(bias);
    map_rows(x, width, Biased { bias: elements(&bias) })
}

/// See [`crate::gelu`].
pub(super) fn gelu(x: FlexTensor) -> FlexTensor {
    map_pieces(x, Plain)
}

struct Biased<'a> {
    bias: &'a [f32],
}

impl RowWork for Biased<'_> {
    #[inline(always)]
    fn apply(&self, _r: usize, row: &mut [f32]) {
        for (x, &bias) in row.iter_mut().zip(self.bias) {
            *x = gelu_value(*x + bias);
        }
    }
}

struct Plain;

impl PieceWork for Plain {
    #[inline(always)]
    fn apply(&self, _start: usize, values: &mut [f32]) {
        for x in values {
            *x = gelu_value(*x);
        }
    }
}

/// GELU of one value.
#[inline(always)]
pub(crate) fn gelu_value(x: f32) -> f32 {
    // sqrt(8 / π), and 0.044715 times that.
    x * sigmoid((x * x * 0.071_354_81 + 1.595_769) * x)
}
