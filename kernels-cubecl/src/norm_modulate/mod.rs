//! Normalisation with scale and shift.

pub mod reference;

use burn::{prelude::*, tensor::module};

use crate::{Operation, Road, road};

const NORM_MODULATE: Operation =
    Operation { name: "norm_modulate", cube: None, twin: false, flex_backend: true };

/// `layer_norm(x) * (1 + scale) + shift` over the last axis, in f32.
///
/// # Shapes
/// - `x`: `[b, l, d]` f32; `scale`, `shift`: `[1, 1, d]`, or `[b, l, d]` for modulation per token
pub fn norm_modulate(x: Tensor<3>, scale: Tensor<3>, shift: Tensor<3>, eps: f64) -> Tensor<3> {
    let one_row = scale.dims()[..2] == [1, 1];
    match road(&NORM_MODULATE, &x.device(), &[x.dtype()]) {
        Road::Backend if one_row => {
            module::layer_norm(x, (scale + 1.0).squeeze_dims(&[0, 1]), Some(shift.squeeze_dims(&[0, 1])), eps)
        }
        _ => reference::norm_modulate(x, scale, shift, eps),
    }
}

/// `x / sqrt(mean(x²) + eps) * weight` over the last axis, in f32.
///
/// # Shapes
/// - `x`: `[b, l, d]` f32, `weight`: `[d]`
pub fn rms_norm(x: Tensor<3>, weight: Tensor<1>, eps: f64) -> Tensor<3> {
    let scale = (x.clone().square().mean_dim(2) + eps).sqrt().recip();
    x * scale * weight.reshape([1, 1, -1])
}
