//! From tensors to launches of the kernel, or to the twin.

use burn::backend::{
    Backend, Flex, TensorMetadata, backend_extension, cubecl::dtype_to_storage_type, tensor::FloatTensor,
};
use burn_cubecl::{CubeBackend, kernel::into_contiguous};
use cubecl::prelude::*;

use super::{cpu, kernel::silu_kernel};
use crate::{
    Needs, Operation,
    cube::{FLAT_UNITS, flat_cubes, in_place, vector_size},
};

pub(crate) const OPERATION: Operation = Operation {
    name: "silu",
    cube: Some(Needs { bindings: 2, shared_memory_bytes: 0, units: FLAT_UNITS, plane_ops: false }),
    twin: true,
    flex_backend: false,
};

/// See [`crate::silu`].
#[backend_extension(Cube, Flex, Fusion: cfg(feature = "fusion"))]
pub trait Silu: Backend {
    #[fusion(dtype = x, shape = x)]
    fn silu(x: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl Silu for Flex {
    fn silu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        cpu::silu(x)
    }
}

impl Silu for CubeBackend {
    fn silu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let x = into_contiguous(x);
        let elements = x.shape().num_elements();
        let size = vector_size(&[elements]);
        let total = elements / size;
        let dtype = dtype_to_storage_type(x.dtype);
        let (out, out_arg) = in_place(&x);
        // SAFETY: one vector of `x` and `out` per unit below `total`.
        unsafe {
            silu_kernel::launch_unchecked(
                &out.client,
                flat_cubes(total, &out),
                CubeDim::new_1d(FLAT_UNITS),
                size,
                x.into_buffer_arg(),
                out_arg,
                total as u32,
                dtype,
            );
        }
        out
    }
}
