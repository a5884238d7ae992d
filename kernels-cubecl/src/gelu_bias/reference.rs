//! GELU by plain tensor code.

use burn::{
    prelude::*,
    tensor::{DType, activation::sigmoid},
};

/// See [`crate::gelu_bias`].
pub fn gelu_bias(x: Tensor<3>, bias: Tensor<1>) -> Tensor<3> {
    let dtype = x.dtype();
    gelu(x.cast(DType::F32) + bias.cast(DType::F32).reshape([1, 1, -1])).cast(dtype)
}

/// See [`crate::gelu`].
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let dtype = x.dtype();
    // f32: the cube of an f16 value overflows it from about 40 on.
    let x = x.cast(DType::F32);
    let twice_root: f64 = (8.0 / std::f64::consts::PI).sqrt();
    let u = (x.clone().square() * (0.044_715 * twice_root) + twice_root) * x.clone();
    (x * sigmoid(u)).cast(dtype)
}
