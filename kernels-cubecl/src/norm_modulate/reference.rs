//! Layer norm and modulation by plain tensor code.

use burn::{prelude::*, tensor::DType};

/// See [`crate::norm_modulate`].
pub fn norm_modulate(x: Tensor<3>, scale: Tensor<3>, shift: Tensor<3>, eps: f64) -> Tensor<3> {
    let dtype = x.dtype();
    // f32: squares of activations overflow f16, and its sums drift.
    let [x, scale, shift] = [x, scale, shift].map(|t| t.cast(DType::F32));
    let centred = x.clone() - x.mean_dim(2);
    let deviation = (centred.clone().square().mean_dim(2) + eps).sqrt();
    (centred / deviation * (scale + 1.0) + shift).cast(dtype)
}
