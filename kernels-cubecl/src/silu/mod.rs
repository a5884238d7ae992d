//! SiLU in one pass.

mod cpu;
pub mod kernel;
mod launch;
pub mod reference;

use burn::{backend::Dispatch, prelude::*};

use crate::{Road, dispatch::road_for};
pub(crate) use launch::OPERATION;
use launch::Silu;

/// `x / (1 + exp(-x))`, in f32 inside; shape and dtype of `x`. In the place of `x` if nobody else holds it.
pub fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    match road_for(&OPERATION, &x.device(), &[x.dtype()], x.shape().num_elements()) {
        Road::Custom => Tensor::from_dispatch(Dispatch::silu(x.into_dispatch())),
        _ => reference::silu(x),
    }
}
