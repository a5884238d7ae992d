//! The tanh form of GELU, with the bias of the linear layer before it.

mod cpu;
pub mod kernel;
mod launch;
pub mod reference;

use burn::{backend::Dispatch, prelude::*};

use crate::{KernelError, Road, dispatch::road_for};
pub(crate) use cpu::gelu_value;
pub(crate) use launch::{Gelu, OPERATION};

/// `gelu(x + bias)`, in f32 inside; the dtype of `x`. In the place of `x` if nobody else holds it.
///
/// # Shapes
/// - `x`: `[b, l, d]`, `bias`: `[d]`
///
/// # Panics
/// If the shapes do not fit together.
pub fn gelu_bias(x: Tensor<3>, bias: Tensor<1>) -> Tensor<3> {
    check(&x, &bias).unwrap_or_else(|error| panic!("{error}"));
    match road_for(&OPERATION, &x.device(), &[x.dtype(), bias.dtype()], x.shape().num_elements()) {
        Road::Custom => Tensor::from_dispatch(Dispatch::gelu_bias(x.into_dispatch(), bias.into_dispatch())),
        _ => reference::gelu_bias(x, bias),
    }
}

/// `0.5 x (1 + tanh(sqrt(2/π) (x + 0.044715 x³)))`, in f32 inside; the dtype of `x`. Written as `x sigmoid(2u)`:
/// Metal's fast tanh overflows to NaN from about 44 on, and `pow` of a negative base is undefined in WGSL.
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    match road_for(&OPERATION, &x.device(), &[x.dtype()], x.shape().num_elements()) {
        Road::Custom => Tensor::from_dispatch(Dispatch::gelu(x.into_dispatch())),
        _ => reference::gelu(x),
    }
}

fn check(x: &Tensor<3>, bias: &Tensor<1>) -> Result<(), KernelError> {
    let ([_, _, width], [biases]) = (x.dims(), bias.dims());
    match width == biases {
        true => Ok(()),
        false => Err(KernelError::shape(OPERATION.name, format!("{biases} biases for a width of {width}"))),
    }
}
