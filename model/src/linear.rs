//! The one linear layer of all networks: precision lives here, below them.

use burn::{
    module::{Module, Param},
    prelude::*,
    tensor::DType,
};
use wan_kernels::{gelu, gelu_bias};

use crate::param::param;

/// `y = x W^T + b`. The weight keeps the checkpoint's `[out, in]` layout; its dtype is the dtype of the matmul
/// inputs. Input and output are f32, so the residual stream never loses precision.
#[derive(Module, Debug)]
pub struct Linear {
    weight: Param<Tensor<2>>,
    bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    /// A layer with bias, without memory until loaded.
    pub fn new(inputs: usize, outputs: usize, device: &Device) -> Self {
        Self { bias: Some(param([outputs], device)), ..Self::without_bias(inputs, outputs, device) }
    }

    /// A layer without bias.
    pub fn without_bias(inputs: usize, outputs: usize, device: &Device) -> Self {
        Self { weight: param([outputs, inputs], device), bias: None }
    }

    /// The dtype of the matmul inputs.
    pub fn dtype(&self) -> DType {
        self.weight.val().dtype()
    }

    /// `[b, l, in]` f32 to `[b, l, out]` f32.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let y = self.product(x).cast(DType::F32);
        match &self.bias {
            Some(bias) => y + bias.val().cast(DType::F32).reshape([1, 1, -1]),
            None => y,
        }
    }

    /// GELU (tanh form) of [`Self::forward`], `[b, l, out]` in the matmul's dtype.
    pub fn forward_gelu(&self, x: Tensor<3>) -> Tensor<3> {
        let y = self.product(x);
        match &self.bias {
            Some(bias) => gelu_bias(y, bias.val()),
            None => gelu(y),
        }
    }

    /// `x W^T`, `[b, l, in]` to `[b, l, out]` in the weight's dtype.
    fn product(&self, x: Tensor<3>) -> Tensor<3> {
        let [b, l, inputs] = x.dims();
        let weight = self.weight.val();
        let outputs = weight.dims()[0];
        // One plain matrix product: a batch of broadcast products would read the weight once per item.
        let x = x.reshape([b * l, inputs]).cast(weight.dtype());
        x.matmul(weight.transpose()).reshape([b, l, outputs])
    }
}
