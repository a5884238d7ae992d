//! From tensors to launches of the kernel, or to the twin.

use burn::{
    backend::{
        Backend, Flex, TensorMetadata, backend_extension, cubecl::dtype_to_storage_type, tensor::FloatTensor,
    },
    tensor::Shape,
};
use burn_cubecl::{
    CubeBackend, kernel::into_contiguous, ops::numeric::empty_device_contiguous_dtype, tensor::CubeTensor,
};
use cubecl::prelude::*;

use super::{cpu, kernel::gelu_bias_kernel};
use crate::{
    Needs, Operation,
    cube::{FLAT_UNITS, flat_cubes, in_place, vector_size},
};

pub(crate) const OPERATION: Operation = Operation {
    name: "gelu_bias",
    cube: Some(Needs { bindings: 3, shared_memory_bytes: 0, units: FLAT_UNITS, plane_ops: false }),
    twin: true,
    flex_backend: false,
};

/// See [`crate::gelu_bias`] and [`crate::gelu`].
#[backend_extension(Cube, Flex, Fusion: cfg(feature = "fusion"))]
pub trait Gelu: Backend {
    #[fusion(dtype = x, shape = x)]
    fn gelu_bias(x: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self>;
    #[fusion(dtype = x, shape = x)]
    fn gelu(x: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl Gelu for Flex {
    fn gelu_bias(x: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        cpu::gelu_bias(x, bias)
    }

    fn gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        cpu::gelu(x)
    }
}

impl Gelu for CubeBackend {
    fn gelu_bias(x: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        launch(into_contiguous(x), Some(into_contiguous(bias)))
    }

    fn gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        launch(into_contiguous(x), None)
    }
}

fn launch(x: CubeTensor, bias: Option<CubeTensor>) -> CubeTensor {
    let elements = x.shape().num_elements();
    let width = bias.as_ref().map_or(elements, |bias| bias.shape().num_elements());
    let size = vector_size(&[width]);
    let total = elements / size;
    let (out, out_arg) = in_place(&x);
    let biased = bias.is_some();
    // Unread without a bias, but a kernel's arguments are fixed; not `x`, which may be written through `out`.
    let (client, device) = (x.client.clone(), x.device.clone());
    let unread = || empty_device_contiguous_dtype(client, device, Shape::new([size]), x.dtype);
    let bias = bias.unwrap_or_else(unread);
    let dtypes = [x.dtype, bias.dtype].map(dtype_to_storage_type);
    // SAFETY: one vector of `x` and `out` per unit below `total`, and one of the bias of their row.
    unsafe {
        gelu_bias_kernel::launch_unchecked(
            &out.client,
            flat_cubes(total, &out),
            CubeDim::new_1d(FLAT_UNITS),
            size,
            x.into_buffer_arg(),
            bias.into_buffer_arg(),
            out_arg,
            total as u32,
            (width / size) as u32,
            biased,
            dtypes,
        );
    }
    out
}
