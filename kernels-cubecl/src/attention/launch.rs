//! From tensors to launches of the kernels, or to the twin.

use std::ops::Range;

use burn::{
    backend::{
        Backend, Flex, TensorMetadata, backend_extension, cubecl::dtype_to_storage_type, ops::FloatTensorOps,
        tensor::FloatTensor,
    },
    tensor::{DType, Device, Shape, Slice},
};
use burn_cubecl::{
    CubeBackend, kernel::into_contiguous, ops::numeric::empty_device_contiguous_dtype, tensor::CubeTensor,
};
use cubecl::prelude::*;

use super::{
    AttentionShape, Window,
    cpu::{self, Keys},
    kernel::{
        FAR, Form, SizesLaunch, StridesLaunch, TILE,
        matrix::{Units, matrix_attention_kernel},
        units::{self, SIDE, attention_kernel},
    },
};
use crate::{
    DeviceCaps, DeviceKind, KernelError, Needs, Operation,
    split::{self, Work},
};

pub(crate) const OPERATION: Operation = Operation {
    name: "attention",
    cube: Some(Needs {
        bindings: 6,
        shared_memory_bytes: units::SHARED_BYTES,
        units: (SIDE * SIDE) as u32,
        plane_ops: false,
    }),
    twin: true,
    flex_backend: true,
};

/// Widest head of the kernels: what a unit's registers hold of the result.
pub(crate) const MAX_WIDTH: usize = 128;

/// See [`crate::attention`] and [`crate::rope_attention`], both of `[b, h, l, d]` views
/// to `[b, l, h, d]`.
#[backend_extension(Cube, Flex, Fusion: cfg(feature = "fusion"))]
pub trait Attention: Backend {
    #[fusion(dtype = q, shape = AttentionShape::of(q, k).result())]
    fn flash_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        window: Option<Window>,
    ) -> FloatTensor<Self>;

    #[fusion(dtype = q, shape = AttentionShape::of(q, k).result())]
    fn flash_padded_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        times: usize,
    ) -> FloatTensor<Self>;

    #[fusion(dtype = q, shape = AttentionShape::of(q, k).result())]
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
        cpu::attention([q, k, v], None, shape, Keys { window, ..Keys::ALL })
    }

    fn flash_padded_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        times: usize,
    ) -> FloatTensor<Self> {
        let shape = AttentionShape::of(&q.shape(), &k.shape());
        cpu::attention([q, k, v], None, shape, Keys { times, ..Keys::ALL })
    }

    fn flash_rope_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let shape = AttentionShape::of(&q.shape(), &k.shape());
        cpu::attention([q, k, v], Some([cos, sin]), shape, Keys::ALL)
    }
}

impl Attention for CubeBackend {
    fn flash_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        window: Option<Window>,
    ) -> FloatTensor<Self> {
        launch([q, k, v], None, window)
    }

    fn flash_padded_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        times: usize,
    ) -> FloatTensor<Self> {
        let [k, v] = [k, v].map(|x| {
            let [b, h, l, d] = x.shape().dims();
            let last = Self::float_slice(x.clone(), &[Slice::full(), Slice::full(), Slice::from(l - 1..l)]);
            Self::float_cat(vec![x, Self::float_expand(last, Shape::new([b, h, times - 1, d]))], 2)
        });
        launch([q, k, v], None, None)
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
    if shape.d > MAX_WIDTH || !shape.d.is_multiple_of(2) {
        let cause = format!("heads are {} wide, the kernel takes even widths up to {MAX_WIDTH}", shape.d);
        return Err(KernelError::Unsupported { operation: OPERATION.name, cause });
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
    let out = empty_device_contiguous_dtype(q.client.clone(), q.device.clone(), shape.result(), q.dtype);
    let form = Form { d, rotate: tables.is_some(), window: window.is_some() };
    // Without a rotation nothing reads the tables, but a kernel's arguments are fixed.
    let [cos, sin] = tables.unwrap_or_else(|| [q.clone(), q.clone()]);
    let caps = DeviceCaps::from_properties(out.client.properties(), out.client.name());
    let units = matrix_units(&caps, out.dtype, d);
    let operands = Operands { q, k, v, cos, sin, out: out.clone() };
    let (tile, work) = match units {
        Some(units) => (units.tile(), block_work(shape, units.tile(), split::MATRIX_GAIN)),
        None => (TILE, block_work(shape, TILE, 1.0)),
    };
    for range in split::launches(batch * heads * lq.div_ceil(tile), work, &caps) {
        let [x, y, z] = split::cube_count(range.len() as u64, caps.max_cube_count)
            .expect("launches hold no more cubes than the device allows");
        let cubes = CubeCount::Static(x, y, z);
        let sizes = sizes(shape, tile, range, window);
        match units {
            Some(units) => operands.launch_matrix(sizes, form, units, cubes),
            None => operands.launch_units(sizes, form, cubes),
        }
    }
    out
}

/// Planes of a cube. Eight share a block of keys where it is words that are moved, and 48 KB of shared memory hold what
/// they need; four need 32 KB.
const PLANES: [usize; 2] = [8, 4];

/// The matrix units for heads of width `d`, if the device has some for `dtype` that the kernel can use: square ones
/// of 16 or 8 with sums in f32, in planes of one known size.
pub fn matrix_units(caps: &DeviceCaps, dtype: DType, d: usize) -> Option<Units> {
    let (smallest, largest) = caps.plane_size;
    let plane = smallest as usize;
    let edge = caps.square_matrices()?;
    let usable = smallest == largest && (8..=64).contains(&plane) && plane.is_power_of_two();
    if dtype != DType::F16 || !d.is_multiple_of(16) || !usable {
        return None;
    }
    let (packed, together) = (caps.loads_words(), caps.software);
    let units = PLANES.map(|planes| Units { edge, plane, planes, rows: 16, keys: 32, packed, together });
    units.into_iter().skip(usize::from(!packed)).find(|units| {
        units.all() <= caps.max_units_per_cube as usize && units.shared_bytes(d) <= caps.shared_memory_bytes
    })
}

/// Of one cube of `tile` queries.
fn block_work(shape: AttentionShape, tile: usize, gain: f64) -> Work {
    let pairs = (tile * shape.lk) as f64;
    Work { flops: 4.0 * pairs * shape.d as f64 / gain, bytes: 0.0 }
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
    fn launch_units(&self, sizes: SizesLaunch, form: Form, cubes: CubeCount) {
        let vector = if form.d.is_multiple_of(4) { 4 } else { 2 };
        // SAFETY: rows are read and written below `lq` and `lk`, channels below `d`, tables where the form rotates.
        unsafe {
            attention_kernel::launch_unchecked(
                &self.out.client,
                cubes,
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
                (form.d as f32).powf(-0.5),
                form,
                dtype_to_storage_type(self.out.dtype),
            );
        }
    }

    fn launch_matrix(&self, sizes: SizesLaunch, form: Form, units: Units, cubes: CubeCount) {
        let vector = units.halves();
        // SAFETY: as above; `matrix_units` chose what the device offers and the width allows.
        unsafe {
            matrix_attention_kernel::launch_unchecked(
                &self.out.client,
                cubes,
                CubeDim::new_2d(units.plane as u32, units.planes as u32),
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
                (form.d as f32).powf(-0.5),
                form,
                units,
                units.elems(),
            );
        }
    }
}

fn sizes(shape: AttentionShape, tile: usize, blocks: Range<usize>, window: Option<Window>) -> SizesLaunch {
    let per_head = shape.lq.div_ceil(tile);
    let (size, sink) = window.map_or((FAR, 0), |w| (w.size.clamp(1, FAR), w.sink.min(FAR)));
    // Below 2^32, as the elements are.
    let [heads, lq, lk, per_head] = [shape.heads, shape.lq, shape.lk, per_head].map(|n| n as u32);
    let [first, end, size, sink] = [blocks.start, blocks.end, size, sink].map(|n| n as u32);
    SizesLaunch::new(heads, lq, lk, per_head, first, end, size, sink)
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
