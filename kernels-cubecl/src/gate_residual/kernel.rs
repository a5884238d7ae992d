//! One vector per unit.

use cubecl::prelude::*;

/// `x`, `y`, `out`: `[rows, vectors]`, `total` vectors; `gate`: `[gates, vectors]`, row `r` taking row
/// `(r / span) % gates`. `out` may be `x`.
#[cube(launch_unchecked, create_dummy_kernel)]
pub fn gate_residual_kernel<X: Float, Y: Float, G: Float, N: Size>(
    x: &[Vector<X, N>],
    y: &[Vector<Y, N>],
    gate: &[Vector<G, N>],
    out: &mut [Vector<X, N>],
    total: u32,
    vectors: u32,
    span: u32,
    gates: u32,
    #[define(X, Y, G)] _dtypes: [ElemType; 3],
) {
    let at = ABSOLUTE_POS;
    if at >= total as usize {
        terminate!();
    }
    let vectors = vectors as usize;
    let row = at / vectors;
    let gate_row = (row / span as usize) % gates as usize;
    let factor = Vector::<f32, N>::cast_from(gate[gate_row * vectors + at % vectors]);
    let sum = Vector::<f32, N>::cast_from(x[at]) + Vector::<f32, N>::cast_from(y[at]) * factor;
    out[at] = Vector::cast_from(sum);
}
