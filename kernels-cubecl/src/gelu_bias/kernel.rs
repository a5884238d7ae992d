//! One vector per unit.

use cubecl::prelude::*;

use crate::cube::gelu;

/// `x`, `out`: `[rows, vectors]`, `total` vectors; `bias`: `[vectors]`, added if `biased`. `out` may be `x`.
#[cube(launch_unchecked, create_dummy_kernel)]
pub fn gelu_bias_kernel<X: Float, B: Float, N: Size>(
    x: &[Vector<X, N>],
    bias: &[Vector<B, N>],
    out: &mut [Vector<X, N>],
    total: u32,
    vectors: u32,
    #[comptime] biased: bool,
    #[define(X, B)] _dtypes: [ElemType; 2],
) {
    let at = ABSOLUTE_POS;
    if at >= total as usize {
        terminate!();
    }
    let mut value = Vector::<f32, N>::cast_from(x[at]);
    if comptime!(biased) {
        value += Vector::<f32, N>::cast_from(bias[at % vectors as usize]);
    }
    out[at] = Vector::cast_from(gelu::<N>(value));
}
