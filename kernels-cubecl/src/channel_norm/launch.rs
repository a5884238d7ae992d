//! From tensors to launches of the kernel, or to the twin.

use burn::backend::{
    Backend, Flex, TensorMetadata, backend_extension, cubecl::dtype_to_storage_type, tensor::FloatTensor,
};
use burn_cubecl::{CubeBackend, kernel::into_contiguous};
use cubecl::prelude::*;

use super::{
    cpu,
    kernel::{PARTS, VECTORS, channel_norm_kernel},
};
use crate::{
    Needs, Operation,
    cube::{cubes, in_place, vector_size},
};

/// Units of a cube.
const UNITS: u32 = (VECTORS * PARTS) as u32;

pub(crate) const OPERATION: Operation = Operation {
    name: "channel_norm",
    cube: Some(Needs {
        bindings: 3,
        // One vector of at most four floats per unit.
        shared_memory_bytes: VECTORS * PARTS * 16,
        units: UNITS,
        plane_ops: false,
    }),
    twin: true,
    flex_backend: false,
};

/// See [`crate::channel_norm`].
#[backend_extension(Cube, Flex, Fusion: cfg(feature = "fusion"))]
pub trait ChannelNorm: Backend {
    #[fusion(dtype = x, shape = x)]
    fn channel_norm(x: FloatTensor<Self>, gamma: FloatTensor<Self>, silu: bool) -> FloatTensor<Self>;
}

impl ChannelNorm for Flex {
    fn channel_norm(x: FloatTensor<Self>, gamma: FloatTensor<Self>, silu: bool) -> FloatTensor<Self> {
        cpu::channel_norm(x, gamma, silu)
    }
}

impl ChannelNorm for CubeBackend {
    fn channel_norm(x: FloatTensor<Self>, gamma: FloatTensor<Self>, silu: bool) -> FloatTensor<Self> {
        let (x, gamma) = (into_contiguous(x), into_contiguous(gamma));
        let [b, channels, t, h, w] = x.shape().dims();
        let size = vector_size(&[t * h * w]);
        let vectors = t * h * w / size;
        let dtypes = [x.dtype, gamma.dtype].map(dtype_to_storage_type);
        let (out, out_arg) = in_place(&x);
        // SAFETY: vectors below `b * vectors` of every channel are read and written, each by one unit.
        unsafe {
            channel_norm_kernel::launch_unchecked(
                &out.client,
                cubes((b * vectors).div_ceil(VECTORS), &out),
                CubeDim::new_1d(UNITS),
                size,
                x.into_buffer_arg(),
                gamma.into_buffer_arg(),
                out_arg,
                (b * vectors) as u32,
                vectors as u32,
                channels as u32,
                (channels as f32).sqrt(),
                silu,
                dtypes,
            );
        }
        out
    }
}
