//! One vector per unit.

use cubecl::prelude::*;

use crate::cube::sigmoid;

/// `x`, `out`: `total` vectors. `out` may be `x`.
#[cube(launch_unchecked, create_dummy_kernel)]
pub fn silu_kernel<X: Float, N: Size>(
    x: &[Vector<X, N>],
    out: &mut [Vector<X, N>],
    total: u32,
    #[define(X)] _dtype: ElemType,
) {
    let at = ABSOLUTE_POS;
    if at >= total as usize {
        terminate!();
    }
    let value = Vector::<f32, N>::cast_from(x[at]);
    out[at] = Vector::cast_from(value * sigmoid::<N>(value));
}
