//! A linear layer by plain tensor code.

use burn::{prelude::*, tensor::DType};

use crate::gelu_bias::reference::gelu;

/// See [`crate::linear`]; all in f32.
pub fn linear(x: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>, then_gelu: bool) -> Tensor<2> {
    let y = x.cast(DType::F32).matmul(weight.cast(DType::F32).transpose());
    let y = match bias {
        Some(bias) => y + bias.cast(DType::F32).unsqueeze(),
        None => y,
    };
    if then_gelu { gelu(y) } else { y }
}
