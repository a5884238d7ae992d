//! From tensors to launches of the kernel, or to the twin.

use burn::{
    backend::{
        Backend, Flex, TensorMetadata, backend_extension, cubecl::dtype_to_storage_type, ops::FloatTensorOps,
        tensor::FloatTensor,
    },
    tensor::{DType, Device, FloatDType, Shape},
};
use burn_cubecl::{
    CubeBackend, kernel::into_contiguous, ops::numeric::empty_device_contiguous_dtype, tensor::CubeTensor,
};
use cubecl::prelude::*;

use super::{
    cpu,
    kernel::{Form, HALVES, SizesLaunch, Tiles, linear_kernel},
};
use crate::{
    DeviceCaps, DeviceKind, Needs, Operation,
    split::{self, Work},
};

pub(crate) const OPERATION: Operation = Operation {
    name: "linear",
    cube: Some(Needs { bindings: 4, shared_memory_bytes: 0, units: 1, plane_ops: false }),
    twin: true,
    flex_backend: false,
};

/// See [`crate::linear`]; an empty `bias` is none. The result is in f32, on adapters with GELU in f16.
#[backend_extension(Cube, Flex, Fusion: cfg(feature = "fusion"))]
pub trait Linear: Backend {
    #[fusion(dtype = if gelu { DType::F16 } else { DType::F32 }, shape = result(x, weight))]
    fn linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        gelu: bool,
    ) -> FloatTensor<Self>;
}

/// `[m, n]`.
#[cfg(feature = "fusion")]
fn result(x: &Shape, weight: &Shape) -> Shape {
    Shape::new([x[0], weight[0]])
}

impl Linear for Flex {
    fn linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        gelu: bool,
    ) -> FloatTensor<Self> {
        cpu::linear(x, weight, bias, gelu)
    }
}

impl Linear for CubeBackend {
    fn linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        gelu: bool,
    ) -> FloatTensor<Self> {
        let [x, weight] = [x, weight].map(|x| into_contiguous(Self::float_cast(x, FloatDType::F16)));
        let bias = into_contiguous(Self::float_cast(bias, FloatDType::F32));
        launch(x, weight, bias, gelu)
    }
}

/// Whether there is a form for `device` of the product of `[m, k]` and a weight `[n, k]` of `dtype`: its matrix units
/// take whole pieces in f16.
pub(super) fn fits([m, k, n]: [usize; 3], dtype: DType, device: &Device) -> bool {
    let caps = DeviceCaps::of(device);
    let whole = |tiles: Tiles| k.is_multiple_of(tiles.depth) && n.is_multiple_of(4);
    caps.kind != DeviceKind::Cube
        || (dtype == DType::F16
            && matrix_tiles(&caps).is_some_and(whole)
            && m >= FEWEST_ROWS
            // Indices are 32 bits wide.
            && (m * k).max(n * k) <= u32::MAX as usize)
}

/// Below, most of a tile would be empty.
const FEWEST_ROWS: usize = 32;

/// How a cube works on a device, if that has units for square matrices of f16 with sums in f32, planes of one known
/// size, and a language in which matrices may be loaded from words.
pub fn matrix_tiles(caps: &DeviceCaps) -> Option<Tiles> {
    let (plane, largest) = caps.plane_size;
    if plane != largest || !caps.loads_words() {
        return None;
    }
    let edge = caps.square_matrices()?;
    let fits = |tiles: &Tiles| {
        tiles.units() <= caps.max_units_per_cube as usize && tiles.shared_bytes() <= caps.shared_memory_bytes
    };
    // The first is the fastest one on an H100-class card, by a third and more; see `benches/NOTES.md`.
    let planes = [[2, 4], [2, 2], [1, 2]];
    planes
        .map(|planes| Tiles { edge, plane: plane as usize, planes, matrices: [4, 4], depth: 32 })
        .into_iter()
        .find(fits)
}

fn launch(x: CubeTensor, weight: CubeTensor, bias: CubeTensor, gelu: bool) -> CubeTensor {
    let ([m, k], [n, _]): ([usize; 2], [usize; 2]) = (x.shape().dims(), weight.shape().dims());
    let dtype = if gelu { DType::F16 } else { DType::F32 };
    let out = empty_device_contiguous_dtype(x.client.clone(), x.device.clone(), Shape::new([m, n]), dtype);
    let caps = DeviceCaps::from_properties(out.client.properties(), out.client.name());
    let tiles = matrix_tiles(&caps).expect("the road to here was chosen for the matrix units");
    let form = Form { biased: bias.shape().num_elements() > 0, gelu };
    // Nothing reads it then, but a kernel's arguments are fixed.
    let bias = if form.biased { bias } else { weight.clone() };
    let [rows, columns] = tiles.size();
    let work = Work { flops: (2 * rows * columns * k) as f64 / split::MATRIX_GAIN, bytes: 0.0 };
    for range in split::launches(m.div_ceil(rows) * n.div_ceil(columns), work, &caps) {
        let [cx, cy, cz] = split::cube_count(range.len() as u64, caps.max_cube_count)
            .expect("launches hold no more cubes than the device allows");
        // Below 2^32, as the elements are.
        let [m, n, k, first, end] = [m, n, k / HALVES, range.start, range.end].map(|n| n as u32);
        let half = dtype_to_storage_type(DType::F16);
        // SAFETY: rows are read below `m` and `n` and written below both, columns below `k`.
        unsafe {
            linear_kernel::launch_unchecked(
                &out.client,
                CubeCount::Static(cx, cy, cz),
                CubeDim::new_2d(tiles.plane as u32, (tiles.planes[0] * tiles.planes[1]) as u32),
                4,
                x.clone().into_buffer_arg(),
                weight.clone().into_buffer_arg(),
                bias.clone().into_buffer_arg(),
                out.clone().into_buffer_arg(),
                SizesLaunch::new(m, n, k, first, end),
                form,
                tiles,
                [half, dtype_to_storage_type(dtype)],
            );
        }
    }
    out
}
