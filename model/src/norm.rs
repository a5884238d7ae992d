//! The layer norm with learned scale and shift.

use burn::{
    module::{Module, Param},
    prelude::*,
};
use tracing::instrument;
use wan_kernels::norm_modulate;

use crate::param::param;

/// A layer norm with learned scale and shift.
#[derive(Module, Debug)]
pub struct AffineNorm {
    weight: Param<Tensor<1>>,
    bias: Param<Tensor<1>>,
    #[module(skip)]
    eps: f64,
}

impl AffineNorm {
    /// A norm over `width` channels without memory until loaded.
    pub(crate) fn new(width: usize, eps: f64, device: &Device) -> Self {
        Self { weight: param([width], device), bias: param([width], device), eps }
    }

    /// `[b, l, width]` f32 to the same.
    #[instrument(name = "norm", level = "trace", skip_all)]
    pub(crate) fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let row = |v: &Param<Tensor<1>>| v.val().reshape([1, 1, -1]);
        norm_modulate(x, row(&self.weight) - 1.0, row(&self.bias), self.eps)
    }
}
