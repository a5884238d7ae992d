//! From tensors to launches of the kernels, or to the twin.

use burn::{
    backend::{
        Backend, Cube, Flex, TensorMetadata, backend_extension, cubecl::dtype_to_storage_type,
        tensor::FloatTensor,
    },
    tensor::Device,
};
use burn_cubecl::{kernel::into_contiguous, ops::numeric::empty_device_contiguous_dtype, tensor::CubeTensor};
use cubecl::prelude::*;

use super::{
    AttentionShape, Window, cpu,
    kernel::{Form, SHARED_BYTES, SIDE, SizesLaunch, StridesLaunch, TILE, attention_kernel},
};
use crate::{
    DeviceCaps, DeviceKind, KernelError, Needs, Operation,
    split::{self, Work},
};

pub(super) const OPERATION: Operation = Operation {
    name: "attention",
    cube: Some(Needs {
        bindings: 6,
        shared_memory_bytes: SHARED_BYTES,
        units: (SIDE * SIDE) as u32,
        plane_ops: false,
    }),
    twin: true,
    flex_backend: true,
};

/// Widest head of the kernels: what a unit's registers hold of the result.
const MAX_WIDTH: usize = 128;

/// See [`crate::attention`] and [`crate::rope_attention`], both of `[b, h, l, d]` views
/// to `[b, l, h, d]`.
#[backend_extension(Cube, Flex)]
pub trait Attention: Backend {
    fn flash_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        window: Option<Window>,
    ) -> FloatTensor<Self>;

    fn flash_rope_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

impl Attention for Flex {
    fn flash_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        window: Option<Window>,
    ) -> FloatTensor<Self> {
        let shape = AttentionShape::of(&q.shape(), &k.shape());
        cpu::attention([q, k, v], None, shape, window)
    }

    fn flash_rope_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let shape = AttentionShape::of(&q.shape(), &k.shape());
        cpu::attention([q, k, v], Some([cos, sin]), shape, None)
    }
}

impl Attention for Cube {
    fn flash_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        window: Option<Window>,
    ) -> FloatTensor<Self> {
        launch([q, k, v], None, window)
    }

    fn flash_rope_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        launch([q, k, v], Some([cos, sin].map(into_contiguous)), None)
    }
}

/// Whether our form for `device` takes calls of `shape`.
pub(super) fn fits(shape: AttentionShape, device: &Device) -> Result<(), KernelError> {
    let caps = DeviceCaps::of(device);
    if caps.kind != DeviceKind::Cube {
        return Ok(());
    }
    if shape.d > MAX_WIDTH || shape.d % 2 != 0 {
        let cause = format!("heads are {} wide, the kernel takes even widths up to {MAX_WIDTH}", shape.d);
        return Err(KernelError::Unavailable { operation: OPERATION.name, cause });
    }
    // Indices are 32 bits wide.
    let elements = shape.batch * shape.heads * shape.lq.max(shape.lk) * shape.d;
    if elements > u32::MAX as usize {
        let (needed, limit) = (elements as u64, u64::from(u32::MAX));
        return Err(KernelError::LimitExceeded {
            operation: OPERATION.name,
            what: "elements",
            needed,
            limit,
        });
    }
    Ok(())
}

fn launch([q, k, v]: [CubeTensor; 3], tables: Option<[CubeTensor; 2]>, window: Option<Window>) -> CubeTensor {
    let shape = AttentionShape::of(&q.shape(), &k.shape());
    let [q, k, v] = [q, k, v].map(with_dense_rows);
    let AttentionShape { batch, heads, lq, d, .. } = shape;
    let out_shape = [batch, lq, heads, d].into();
    let out = empty_device_contiguous_dtype(q.client.clone(), q.device.clone(), out_shape, q.dtype);
    let form = Form { d, rotate: tables.is_some(), window };
    // Without a rotation nothing reads the tables, but a kernel's arguments are fixed.
    let [cos, sin] = tables.unwrap_or_else(|| [q.clone(), q.clone()]);
    let operands = Operands { q, k, v, cos, sin, out: out.clone() };
    let hardware = &out.client.properties().hardware;
    let (x, y, z) = hardware.max_cube_count;
    let blocks = batch * heads * lq.div_ceil(TILE);
    for range in split::ranges(blocks, split::items_per_dispatch(block_work(shape))) {
        let cubes =
            split::cube_count(range.len() as u64, [x, y, z]).expect("a dispatch is a share of 2^32 elements");
        operands.launch_units(shape, form, [range.start, range.end], cubes);
    }
    out
}

/// Of one cube.
fn block_work(shape: AttentionShape) -> Work {
    let pairs = (TILE * shape.lk) as f64;
    Work { flops: 4.0 * pairs * shape.d as f64, bytes: 0.0 }
}

struct Operands {
    q: CubeTensor,
    k: CubeTensor,
    v: CubeTensor,
    cos: CubeTensor,
    sin: CubeTensor,
    out: CubeTensor,
}

impl Operands {
    fn launch_units(&self, shape: AttentionShape, form: Form, [first, end]: [usize; 2], [x, y, z]: [u32; 3]) {
        let vector = if form.d.is_multiple_of(4) { 4 } else { 2 };
        let sizes = SizesLaunch::new(
            shape.heads as u32,
            shape.lq as u32,
            shape.lk as u32,
            shape.lq.div_ceil(TILE) as u32,
            first as u32,
            end as u32,
        );
        // SAFETY: rows are read and written below `lq` and `lk`, channels below `d`, tables where the form rotates.
        unsafe {
            attention_kernel::launch_unchecked(
                &self.out.client,
                CubeCount::Static(x, y, z),
                CubeDim::new_1d((SIDE * SIDE) as u32),
                vector,
                self.q.clone().into_buffer_arg(),
                self.k.clone().into_buffer_arg(),
                self.v.clone().into_buffer_arg(),
                self.cos.clone().into_buffer_arg(),
                self.sin.clone().into_buffer_arg(),
                self.out.clone().into_buffer_arg(),
                strides(&self.q, vector),
                strides(&self.k, vector),
                strides(&self.v, vector),
                sizes,
                (shape.d as f32).powf(-0.5),
                form,
                dtype_to_storage_type(self.out.dtype),
            );
        }
    }
}

fn strides(x: &CubeTensor, vector: usize) -> StridesLaunch {
    let at = |dim: usize| (x.meta.strides()[dim] / vector) as u32;
    StridesLaunch::new(at(0), at(1), at(2))
}

/// `x` itself if it is stored as `[b, h, l, d]` or `[b, l, h, d]`, else a copy.
fn with_dense_rows(x: CubeTensor) -> CubeTensor {
    let [_, h, l, d]: [usize; 4] = x.shape().dims();
    if x.meta.strides().to_vec() == [l * h * d, d, h * d, 1] { x } else { into_contiguous(x) }
}
