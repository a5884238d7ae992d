//! The twin for burn-flex.

use burn::backend::{TensorMetadata, flex::FlexTensor};

use crate::host::{dense, elements, map_flat, map_rows, sigmoid};

/// See [`crate::gelu_bias`].
pub(super) fn gelu_bias(x: FlexTensor, bias: FlexTensor) -> FlexTensor {
    let [_, _, width] = x.shape().dims();
    let bias = dense(bias);
    let bias = elements(&bias);
    map_rows(x, width, |_, row| {
        for (x, &bias) in row.iter_mut().zip(bias) {
            *x = one(*x + bias);
        }
    })
}

/// See [`crate::gelu`].
pub(super) fn gelu(x: FlexTensor) -> FlexTensor {
    map_flat(x, one)
}

#[inline(always)]
fn one(x: f32) -> f32 {
    // sqrt(8 / π), and 0.044715 times that.
    x * sigmoid((x * x * 0.071_354_81 + 1.595_769) * x)
}
