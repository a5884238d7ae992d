//! From tensors to launches of the kernel, or to the twin.

use burn::backend::{
    Backend, Flex, TensorMetadata, backend_extension, cubecl::dtype_to_storage_type, tensor::FloatTensor,
};
use burn_cubecl::{CubeBackend, kernel::into_contiguous};
use cubecl::prelude::*;

use super::{cpu, kernel::gate_residual_kernel};
use crate::{
    Needs, Operation,
    cube::{FLAT_UNITS, flat_cubes, in_place, vector_size},
    rows::RowMap,
};

pub(crate) const OPERATION: Operation = Operation {
    name: "gate_residual",
    cube: Some(Needs { bindings: 4, shared_memory_bytes: 0, units: FLAT_UNITS, plane_ops: false }),
    twin: true,
    flex_backend: false,
};

/// See [`crate::gate_residual`].
#[backend_extension(Cube, Flex, Fusion: cfg(feature = "fusion"))]
pub trait GateResidual: Backend {
    #[fusion(dtype = x, shape = x)]
    fn gate_residual(
        x: FloatTensor<Self>,
        y: FloatTensor<Self>,
        gate: FloatTensor<Self>,
        rows: RowMap,
    ) -> FloatTensor<Self>;
}

impl GateResidual for Flex {
    fn gate_residual(
        x: FloatTensor<Self>,
        y: FloatTensor<Self>,
        gate: FloatTensor<Self>,
        rows: RowMap,
    ) -> FloatTensor<Self> {
        cpu::gate_residual(x, y, gate, rows)
    }
}

impl GateResidual for CubeBackend {
    fn gate_residual(
        x: FloatTensor<Self>,
        y: FloatTensor<Self>,
        gate: FloatTensor<Self>,
        rows: RowMap,
    ) -> FloatTensor<Self> {
        let [x, y, gate] = [x, y, gate].map(into_contiguous);
        let [b, l, d] = x.shape().dims();
        let size = vector_size(&[d]);
        let total = b * l * d / size;
        let dtypes = [x.dtype, y.dtype, gate.dtype].map(dtype_to_storage_type);
        let (out, out_arg) = in_place(&x);
        // SAFETY: one vector of `x`, `y` and `out` per unit below `total`, and one of `gate` by `rows`.
        unsafe {
            gate_residual_kernel::launch_unchecked(
                &out.client,
                flat_cubes(total, &out),
                CubeDim::new_1d(FLAT_UNITS),
                size,
                x.into_buffer_arg(),
                y.into_buffer_arg(),
                gate.into_buffer_arg(),
                out_arg,
                total as u32,
                (d / size) as u32,
                rows.span as u32,
                rows.count as u32,
                dtypes,
            );
        }
        out
    }
}
