//! From tensors to launches of the kernel, or to the twin.

use burn::backend::{
    Backend, Flex, TensorMetadata, backend_extension, cubecl::dtype_to_storage_type, tensor::FloatTensor,
};
use burn_cubecl::{CubeBackend, kernel::into_contiguous, ops::numeric::empty_device_contiguous_dtype};
use cubecl::prelude::*;

use super::{cpu, kernel::norm_modulate_kernel};
use crate::{
    Needs, Operation,
    cube::{CORNER, FLAT_UNITS, cubes, row_units, vector_size},
    rows::RowMap,
};

pub(crate) const OPERATION: Operation = Operation {
    name: "norm_modulate",
    cube: Some(Needs {
        bindings: 4,
        shared_memory_bytes: (FLAT_UNITS as usize + CORNER) * 4,
        units: FLAT_UNITS,
        plane_ops: false,
    }),
    twin: true,
    flex_backend: true,
};

/// See [`crate::norm_modulate`].
#[backend_extension(Cube, Flex, Fusion: cfg(feature = "fusion"))]
pub trait NormModulate: Backend {
    #[fusion(dtype = x, shape = x)]
    fn norm_modulate(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        rows: RowMap,
        eps: f32,
    ) -> FloatTensor<Self>;
}

impl NormModulate for Flex {
    fn norm_modulate(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        rows: RowMap,
        eps: f32,
    ) -> FloatTensor<Self> {
        cpu::norm_modulate(x, scale, shift, rows, eps)
    }
}

impl NormModulate for CubeBackend {
    fn norm_modulate(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        map: RowMap,
        eps: f32,
    ) -> FloatTensor<Self> {
        let [x, scale, shift] = [x, scale, shift].map(into_contiguous);
        let [b, l, d] = x.shape().dims();
        let size = vector_size(&[d]);
        let (rows, units) = (b * l, row_units(d / size));
        let out = empty_device_contiguous_dtype(x.client.clone(), x.device.clone(), x.shape(), x.dtype);
        let dtypes = [x.dtype, scale.dtype].map(dtype_to_storage_type);
        // SAFETY: one row of `x` and `out` per cube below `rows`, and a row of the modulation by `map`.
        unsafe {
            norm_modulate_kernel::launch_unchecked(
                &out.client,
                cubes(rows, &out),
                CubeDim::new_1d(units),
                size,
                x.into_buffer_arg(),
                scale.into_buffer_arg(),
                shift.into_buffer_arg(),
                out.clone().into_buffer_arg(),
                rows as u32,
                map.span as u32,
                map.count as u32,
                d as f32,
                eps,
                d / size,
                units as usize,
                dtypes,
            );
        }
        out
    }
}
