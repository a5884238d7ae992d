//! Activations in forms that are safe on every backend.

use burn::{prelude::*, tensor::activation::sigmoid};

/// `0.5 x (1 + tanh(sqrt(2/π) (x + 0.044715 x³)))`, written as `x sigmoid(2u)`: Metal's fast tanh overflows to NaN
/// from about 44 on, and `pow` of a negative base is undefined in WGSL.
pub(crate) fn gelu_tanh<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let twice_root: f64 = (8.0 / std::f64::consts::PI).sqrt();
    let u = (x.clone().square() * (0.044_715 * twice_root) + twice_root) * x.clone();
    x * sigmoid(u)
}
