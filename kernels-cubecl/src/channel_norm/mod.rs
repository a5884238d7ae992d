//! RMS norm over the channels of a video and SiLU, in one pass.

mod cpu;
pub mod kernel;
mod launch;
pub mod reference;

use burn::{backend::Dispatch, prelude::*};

use crate::{KernelError, Road, dispatch::road_for};
use kernel::SMALLEST;
use launch::ChannelNorm;
pub(crate) use launch::OPERATION;

/// `y = x / ||x|| * sqrt(c) * gamma` with the norm over the channels, then `y * sigmoid(y)` if `silu`; f32 inside, the
/// dtype of `x`.
///
/// # Shapes
/// - `x`: `[b, c, t, h, w]`; `gamma`: `[c]`
///
/// # Panics
/// If the shapes do not fit together.
pub fn channel_norm(x: Tensor<5>, gamma: Tensor<1>, silu: bool) -> Tensor<5> {
    check(&x, &gamma).unwrap_or_else(|error| panic!("{error}"));
    match road_for(&OPERATION, &x.device(), &[x.dtype(), gamma.dtype()], x.shape().num_elements()) {
        Road::Custom => {
            Tensor::from_dispatch(Dispatch::channel_norm(x.into_dispatch(), gamma.into_dispatch(), silu))
        }
        _ => reference::channel_norm(x, gamma, silu),
    }
}

fn check(x: &Tensor<5>, gamma: &Tensor<1>) -> Result<(), KernelError> {
    if gamma.dims() == [x.dims()[1]] {
        return Ok(());
    }
    let detail = format!("{} factors for the channels of {:?}", gamma.dims()[0], x.dims());
    Err(KernelError::shape(OPERATION.name, detail))
}
