//! From tensors to launches of the kernel, or to the twin.

use burn::{
    backend::{
        Backend, Flex, TensorMetadata, backend_extension, cubecl::dtype_to_storage_type, tensor::FloatTensor,
    },
    tensor::{DType, Shape},
};
use burn_cubecl::{
    CubeBackend, kernel::into_contiguous, ops::numeric::empty_device_contiguous_dtype, tensor::CubeTensor,
};
use cubecl::prelude::*;

use super::{cpu, kernel::rms_norm_rope_kernel};
use crate::{
    Needs, Operation,
    cube::{CORNER, FLAT_UNITS, cubes, row_units, vector_size},
};

pub(crate) const OPERATION: Operation = Operation {
    name: "rms_norm_rope",
    cube: Some(Needs {
        bindings: 5,
        shared_memory_bytes: (FLAT_UNITS as usize + CORNER) * 4,
        units: FLAT_UNITS,
        plane_ops: false,
    }),
    twin: true,
    flex_backend: false,
};

/// What the operation is asked to do besides its tensors.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    pub heads: usize,
    pub eps: f32,
    /// Of the result.
    pub dtype: DType,
}

/// See [`crate::rms_norm_rope`]; `rms_norm_heads` does not rotate.
#[backend_extension(Cube, Flex, Fusion: cfg(feature = "fusion"))]
pub trait RmsNormRope: Backend {
    #[fusion(dtype = form.dtype, shape = head_layout(x, form.heads))]
    fn rms_norm_rope(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        form: Form,
    ) -> FloatTensor<Self>;

    #[fusion(dtype = form.dtype, shape = head_layout(x, form.heads))]
    fn rms_norm_heads(x: FloatTensor<Self>, weight: FloatTensor<Self>, form: Form) -> FloatTensor<Self>;
}

impl RmsNormRope for Flex {
    fn rms_norm_rope(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        form: Form,
    ) -> FloatTensor<Self> {
        cpu::rms_norm_rope(x, weight, Some((cos, sin)), form)
    }

    fn rms_norm_heads(x: FloatTensor<Self>, weight: FloatTensor<Self>, form: Form) -> FloatTensor<Self> {
        cpu::rms_norm_rope(x, weight, None, form)
    }
}

impl RmsNormRope for CubeBackend {
    fn rms_norm_rope(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        form: Form,
    ) -> FloatTensor<Self> {
        let shape = head_layout(&x.shape(), form.heads);
        launch(x, weight, Some((cos, sin)), shape, form)
    }

    fn rms_norm_heads(x: FloatTensor<Self>, weight: FloatTensor<Self>, form: Form) -> FloatTensor<Self> {
        let shape = head_layout(&x.shape(), form.heads);
        launch(x, weight, None, shape, form)
    }
}

fn head_layout(x: &Shape, heads: usize) -> Shape {
    let [b, l, width] = x.dims();
    Shape::new([b, heads, l, width / heads])
}

/// The result, laid out by heads, as a tensor of `shape`.
pub(crate) fn launch(
    x: CubeTensor,
    weight: CubeTensor,
    table: Option<(CubeTensor, CubeTensor)>,
    shape: Shape,
    form: Form,
) -> CubeTensor {
    let (x, weight) = (into_contiguous(x), into_contiguous(weight));
    let rotate = table.is_some();
    // Without a rotation nothing reads the table, but a kernel's arguments are fixed.
    let (cos, sin) = table.unwrap_or_else(|| (weight.clone(), weight.clone()));
    let (cos, sin) = (into_contiguous(cos), into_contiguous(sin));
    let [b, l, width] = x.shape().dims();
    let size = vector_size(&[width / form.heads]);
    let units = row_units(width / size);
    let out = empty_device_contiguous_dtype(x.client.clone(), x.device.clone(), shape, form.dtype);
    let dtypes = [x.dtype, weight.dtype, form.dtype].map(dtype_to_storage_type);
    // SAFETY: one row of `x` and of `out` per cube below `b * l`; a vector is within one head.
    unsafe {
        rms_norm_rope_kernel::launch_unchecked(
            &out.client,
            cubes(b * l, &out),
            CubeDim::new_1d(units),
            size,
            x.into_buffer_arg(),
            weight.into_buffer_arg(),
            cos.into_buffer_arg(),
            sin.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            (b * l) as u32,
            l as u32,
            width as f32,
            form.eps,
            width / size,
            width / form.heads / size,
            size / 2,
            units as usize,
            rotate,
            dtypes,
        );
    }
    out
}
