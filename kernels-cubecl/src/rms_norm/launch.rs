//! From tensors to the kernel of `rms_norm_rope` with one head and no rotation, or to the twin.

use burn::backend::{Backend, Flex, TensorMetadata, backend_extension, tensor::FloatTensor};
use burn_cubecl::CubeBackend;

use super::cpu;
use crate::{Operation, rms_norm_rope::launch as rope};

pub(crate) const OPERATION: Operation = Operation { name: "rms_norm", ..rope::OPERATION };

/// See [`crate::rms_norm`].
#[backend_extension(Cube, Flex, Fusion: cfg(feature = "fusion"))]
pub trait RmsNorm: Backend {
    #[fusion(dtype = x, shape = x)]
    fn rms_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, eps: f32) -> FloatTensor<Self>;
}

impl RmsNorm for Flex {
    fn rms_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, eps: f32) -> FloatTensor<Self> {
        cpu::rms_norm(x, weight, eps)
    }
}

impl RmsNorm for CubeBackend {
    fn rms_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, eps: f32) -> FloatTensor<Self> {
        let (shape, dtype) = (x.shape(), x.dtype);
        // With one head the head layout is the layout of `x`.
        rope::launch(x, weight, None, shape, rope::Form { heads: 1, eps, dtype })
    }
}
