//! Channel RMS norm and SiLU by plain tensor code.

use burn::{
    prelude::*,
    tensor::{DType, activation},
};

use super::kernel::SMALLEST;

/// See [`crate::channel_norm`].
pub fn channel_norm(x: Tensor<5>, gamma: Tensor<1>, silu: bool) -> Tensor<5> {
    let dtype = x.dtype();
    let channels = x.dims()[1];
    // f32: squares of activations overflow f16, and their sums drift.
    let (x, gamma) = (x.cast(DType::F32), gamma.cast(DType::F32));
    let norm = x.clone().square().sum_dim(1).sqrt().clamp_min(SMALLEST);
    let scale = norm.recip().mul_scalar((channels as f64).sqrt());
    let y = x * scale * gamma.reshape([1, channels, 1, 1, 1]);
    if silu { activation::silu(y) } else { y }.cast(dtype)
}
