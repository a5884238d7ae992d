//! Parts shared by the kernels: a sum over a cube, sizes of cubes and vectors, results in place.

use burn_cubecl::{ops::numeric::empty_device_contiguous_dtype, tensor::CubeTensor};
use cubecl::prelude::*;

use crate::split;

/// Units of a cube in kernels that take one vector per unit; what WebGPU guarantees.
pub(crate) const FLAT_UNITS: u32 = 256;

/// Partial sums that [`cube_sum`] keeps besides one per unit.
pub(crate) const CORNER: usize = 16;

/// The sum of `value` over the units of the cube, in an order that depends on neither the plane size nor the
/// device; to be reached by all units. `partial` holds `units + 16` values, `units` is a multiple of 16.
#[cube]
pub(crate) fn cube_sum(value: f32, partial: &mut Shared<[f32]>, #[comptime] units: usize) -> f32 {
    let unit = UNIT_POS as usize;
    partial[unit] = value;
    sync_cube();
    if unit < 16 {
        let mut sum = partial[unit];
        #[unroll]
        for k in 1..units / 16 {
            sum += partial[unit + 16 * k];
        }
        partial[units + unit] = sum;
    }
    sync_cube();
    let mut total = partial[units];
    #[unroll]
    for k in 1..16 {
        total += partial[units + k];
    }
    total
}

/// `1 / (1 + exp(-x))`. The exponent is bounded, as fast math may take infinity for anything: from -80 on the value
/// is below 2e-35.
#[cube]
pub(crate) fn sigmoid<N: Size>(x: Vector<f32, N>) -> Vector<f32, N> {
    let one = Vector::<f32, N>::new(1.0f32);
    let exponent = min(-x, Vector::<f32, N>::new(80.0f32));
    one / (one + exponent.exp())
}

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
