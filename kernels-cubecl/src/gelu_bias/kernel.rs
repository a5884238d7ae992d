//! One vector per unit.

use cubecl::prelude::*;

use crate::cube::sigmoid;

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
    // sqrt(8 / π), and 0.044715 times that.
    let linear = Vector::<f32, N>::new(1.595_769_f32);
    let cubic = Vector::<f32, N>::new(0.071_354_81f32);
    let twice = (value * value * cubic + linear) * value;
    out[at] = Vector::cast_from(value * sigmoid::<N>(twice));
}
