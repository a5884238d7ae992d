//! Parameters that cost nothing until a checkpoint fills them.

use burn::{
    module::{Param, ParamId},
    prelude::*,
};

/// A lazy parameter of `shape`: holds no memory until it is loaded (zeros if it is used before).
pub(crate) fn param<const D: usize>(shape: [usize; D], device: &Device) -> Param<Tensor<D>> {
    Param::uninitialized(
        ParamId::new(),
        move |device: &Device, _| Tensor::zeros(shape, device),
        device.clone(),
        false,
        shape.into(),
    )
}
