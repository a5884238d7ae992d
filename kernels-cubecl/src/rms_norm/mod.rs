//! RMS norm in one pass.

mod cpu;
mod launch;
pub mod reference;

use burn::{backend::Dispatch, prelude::*};

use crate::{KernelError, Road, dispatch::road_for};
pub(crate) use launch::OPERATION;
use launch::RmsNorm;

/// `x / sqrt(mean(x²) + eps) * weight` over the last axis, in f32 inside; the dtype of `x`.
///
/// # Shapes
/// - `x`: `[b, l, d]`, `weight`: `[d]`
///
/// # Panics
/// If the shapes do not fit together.
pub fn rms_norm(x: Tensor<3>, weight: Tensor<1>, eps: f64) -> Tensor<3> {
    check(OPERATION.name, &x, &weight).unwrap_or_else(|error| panic!("{error}"));
    let dtypes = [x.dtype(), weight.dtype()];
    match road_for(&OPERATION, &x.device(), &dtypes, x.shape().num_elements()) {
        Road::Custom => {
            Tensor::from_dispatch(Dispatch::rms_norm(x.into_dispatch(), weight.into_dispatch(), eps as f32))
        }
        _ => reference::rms_norm(x, weight, eps),
    }
}

/// Whether `weight` has one value per channel of `x`.
pub(crate) fn check(operation: &'static str, x: &Tensor<3>, weight: &Tensor<1>) -> Result<(), KernelError> {
    let ([_, _, width], [weights]) = (x.dims(), weight.dims());
    match width == weights {
        true => Ok(()),
        false => Err(KernelError::shape(operation, format!("{weights} weights for a width of {width}"))),
    }
}
