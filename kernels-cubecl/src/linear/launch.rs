//! From tensors to the twin, or to the backend's operations.

use burn::{
    backend::{Backend, Flex, TensorMetadata, backend_extension, ops::FloatTensorOps, tensor::FloatTensor},
    tensor::{FloatDType, Shape},
};
use burn_cubecl::CubeBackend;

use super::cpu;
use crate::{Operation, gelu_bias::Gelu};

pub(crate) const OPERATION: Operation =
    Operation { name: "linear", cube: None, twin: true, flex_backend: false };

/// See [`crate::linear`]; an empty `bias` is none. The result is in f32.
#[backend_extension(Cube, Flex, Fusion: cfg(feature = "fusion"))]
pub trait Linear: Backend {
    #[fusion(dtype = burn::tensor::DType::F32, shape = result(x, weight))]
    fn linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        gelu: bool,
    ) -> FloatTensor<Self>;
}

/// `[m, n]`.
#[cfg(feature = "fusion")]
fn result(x: &Shape, weight: &Shape) -> Shape {
    Shape::new([x[0], weight[0]])
}

impl Linear for Flex {
    fn linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        gelu: bool,
    ) -> FloatTensor<Self> {
        cpu::linear(x, weight, bias, gelu)
    }
}

impl Linear for CubeBackend {
    fn linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        gelu: bool,
    ) -> FloatTensor<Self> {
        let [x, weight, bias] = [x, weight, bias].map(|x| Self::float_cast(x, FloatDType::F32));
        let y = Self::float_matmul(x, Self::float_transpose(weight));
        let y = match bias.shape().num_elements() {
            0 => y,
            n => Self::float_add(y, Self::float_reshape(bias, Shape::new([1, n]))),
        };
        if gelu { <Self as Gelu>::gelu(y) } else { y }
    }
}
