//! SiLU by plain tensor code.

use burn::{
    prelude::*,
    tensor::{DType, activation},
};

/// See [`crate::silu`].
pub fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let dtype = x.dtype();
    activation::silu(x.cast(DType::F32)).cast(dtype)
}
