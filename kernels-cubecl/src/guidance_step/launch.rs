//! From tensors to launches of the kernel, or to the twin.

use burn::backend::{Backend, Flex, TensorMetadata, backend_extension, tensor::FloatTensor};
use burn_cubecl::{CubeBackend, kernel::into_contiguous};
use cubecl::prelude::*;

use super::{GuidanceStep as Step, cpu, kernel::guidance_step_kernel};
use crate::{
    Needs, Operation,
    cube::{FLAT_UNITS, flat_cubes, in_place, vector_size},
};

pub(crate) const OPERATION: Operation = Operation {
    name: "guidance_step",
    cube: Some(Needs { bindings: 4, shared_memory_bytes: 0, units: FLAT_UNITS, plane_ops: false }),
    twin: true,
    flex_backend: false,
};

/// See [`crate::guidance_step`].
#[backend_extension(Cube, Flex, Fusion: cfg(feature = "fusion"))]
pub trait GuidanceStep: Backend {
    #[fusion(dtype = x, shape = x)]
    fn guidance_step(
        x: FloatTensor<Self>,
        cond: FloatTensor<Self>,
        uncond: FloatTensor<Self>,
        step: Step,
    ) -> FloatTensor<Self>;
}

impl GuidanceStep for Flex {
    fn guidance_step(
        x: FloatTensor<Self>,
        cond: FloatTensor<Self>,
        uncond: FloatTensor<Self>,
        step: Step,
    ) -> FloatTensor<Self> {
        cpu::guidance_step(x, cond, uncond, step)
    }
}

impl GuidanceStep for CubeBackend {
    fn guidance_step(
        x: FloatTensor<Self>,
        cond: FloatTensor<Self>,
        uncond: FloatTensor<Self>,
        step: Step,
    ) -> FloatTensor<Self> {
        let [x, cond, uncond] = [x, cond, uncond].map(into_contiguous);
        let elements = x.shape().num_elements();
        let size = vector_size(&[elements]);
        let total = elements / size;
        let (out, out_arg) = in_place(&x);
        // SAFETY: one vector of each buffer per unit below `total`.
        unsafe {
            guidance_step_kernel::launch_unchecked(
                &out.client,
                flat_cubes(total, &out),
                CubeDim::new_1d(FLAT_UNITS),
                size,
                x.into_buffer_arg(),
                cond.into_buffer_arg(),
                uncond.into_buffer_arg(),
                out_arg,
                total as u32,
                step.scale as f32,
                step.keep as f32,
                step.flow as f32,
            );
        }
        out
    }
}
