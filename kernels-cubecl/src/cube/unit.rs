//! Parts of kernels: a sum over a cube, a sigmoid, sums of matrix units.

use cubecl::{
    cmma::{Matrix, MatrixIdent, MatrixLayout},
    prelude::*,
};

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

/// The tanh form: `x sigmoid(2 sqrt(2 / π) (x + 0.044715 x^3))`.
#[cube]
pub(crate) fn gelu<N: Size>(x: Vector<f32, N>) -> Vector<f32, N> {
    // sqrt(8 / π), and 0.044715 times that.
    let linear = Vector::<f32, N>::new(1.595_769_f32);
    let cubic = Vector::<f32, N>::new(0.071_354_81f32);
    x * sigmoid::<N>((x * x * cubic + linear) * x)
}

/// So many square matrices of sums of nothing yet, for a plane's matrix units.
#[cube]
pub(crate) fn no_sums(#[comptime] count: usize, #[comptime] edge: usize) -> Sequence<Matrix<f32>> {
    let mut sums = Sequence::<Matrix<f32>>::new();
    #[unroll]
    for _ in 0..count {
        sums.push(Matrix::<f32>::from_value(
            MatrixIdent::Accumulator,
            edge,
            edge,
            edge,
            MatrixLayout::Undefined,
            0.0f32,
        ));
    }
    sums
}
