//! What the kernels share: parts of them, and for their launches sizes of cubes and vectors, results in place.

mod unit;

use burn_cubecl::{ops::numeric::empty_device_contiguous_dtype, tensor::CubeTensor};
use cubecl::prelude::*;

use crate::split;
pub(crate) use unit::{CORNER, cube_sum, gelu, no_sums, sigmoid};

/// Units of a cube in kernels that take one vector per unit; what WebGPU guarantees.
pub(crate) const FLAT_UNITS: u32 = 256;

/// Units of a cube that works on one row of `vectors`: a power of two from 32 to 256.
pub(crate) fn row_units(vectors: usize) -> u32 {
    // Between 32 and 256, which fits.
    vectors.next_power_of_two().clamp(32, FLAT_UNITS as usize) as u32
}

/// The widest vector, of at most four, that divides all `lengths`.
pub(crate) fn vector_size(lengths: &[usize]) -> usize {
    [4, 2].into_iter().find(|size| lengths.iter().all(|length| length % size == 0)).unwrap_or(1)
}

/// One cube per row.
pub(crate) fn cubes(count: usize, tensor: &CubeTensor) -> CubeCount {
    let (x, y, z) = tensor.client.properties().hardware.max_cube_count;
    let [x, y, z] = split::cube_count(count as u64, [x, y, z])
        .expect("an operation is limited to 2^32 elements, which any device's cube count holds");
    CubeCount::Static(x, y, z)
}

/// Cubes of [`FLAT_UNITS`] units, one for each of `vectors`.
pub(crate) fn flat_cubes(vectors: usize, tensor: &CubeTensor) -> CubeCount {
    cubes(vectors.div_ceil(FLAT_UNITS as usize), tensor)
}

/// The result of a kernel whose first argument is the contiguous `x`, of the same shape and dtype: in its place if
/// nobody else holds it, else new; and the argument to write it through.
pub(crate) fn in_place(x: &CubeTensor) -> (CubeTensor, BufferArg) {
    if x.can_mut() {
        return (x.clone(), x.as_tensor_alias(0).into_buffer_arg());
    }
    let out =
        empty_device_contiguous_dtype(x.client.clone(), x.device.clone(), x.meta.shape().clone(), x.dtype);
    (out.clone(), out.into_buffer_arg())
}
