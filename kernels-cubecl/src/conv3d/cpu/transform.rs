//! Winograd's transforms for four outputs of a filter of three, on vectors.
//!
//! A tile of six is a polynomial of degree five, known by its values at 0, ±3/4, ±3/2 and infinity. All coefficients
//! but two are exact in f32, and over 1,152 sums of normal values the error is 3e-6; the customary ±1 and ±2 leave
//! 7e-6, a plain sum 2e-6.

use pulp::Simd;

/// Outputs of a tile along one axis.
pub const OUT: usize = 4;

/// Inputs of a tile along one axis.
pub const IN: usize = 6;

/// Products of a tile.
pub const POINTS: usize = IN * IN;

const A: f32 = 0.75;
const B: f32 = 1.5;
const A2: f32 = A * A;
const B2: f32 = B * B;

/// Values of the polynomials with the filter's three coefficients, over what makes the interpolation exact.
#[inline(always)]
pub fn filter<S: Simd>(simd: S, g: [S::f32s; 3]) -> [S::f32s; IN] {
    let times = |c: f32, x: S::f32s| simd.mul_f32s(simd.splat_f32s(c), x);
    let at = |p: f32, scale: f32| {
        let even = simd.mul_add_e_f32s(simd.splat_f32s(p * p), g[2], g[0]);
        let odd = times(p, g[1]);
        [times(scale, simd.add_f32s(even, odd)), times(scale, simd.sub_f32s(even, odd))]
    };
    let [a, minus_a] = at(A, 0.5 / (A2 * (A2 - B2)));
    let [b, minus_b] = at(B, 0.5 / (B2 * (B2 - A2)));
    [times(1.0 / (A2 * B2), g[0]), a, minus_a, b, minus_b, g[2]]
}

/// The transposed interpolation of six inputs.
#[inline(always)]
pub fn input<S: Simd>(simd: S, d: [S::f32s; IN]) -> [S::f32s; IN] {
    let add = |c: f32, x: S::f32s, y: S::f32s| simd.mul_add_e_f32s(simd.splat_f32s(c), x, y);
    let pair = |point: f32, other: f32| {
        let even = add(-other, d[2], d[4]);
        let odd = simd.mul_f32s(simd.splat_f32s(point), add(-other, d[1], d[3]));
        [simd.add_f32s(even, odd), simd.sub_f32s(even, odd)]
    };
    let ([a, minus_a], [b, minus_b]) = (pair(A, B2), pair(B, A2));
    let zero = add(A2 * B2, d[0], add(-(A2 + B2), d[2], d[4]));
    let infinity = add(A2 * B2, d[1], add(-(A2 + B2), d[3], d[5]));
    [zero, a, minus_a, b, minus_b, infinity]
}

/// Four outputs from the products at the six points.
#[inline(always)]
pub fn output<S: Simd>(simd: S, m: [S::f32s; IN]) -> [S::f32s; OUT] {
    let add = |c: f32, x: S::f32s, y: S::f32s| simd.mul_add_e_f32s(simd.splat_f32s(c), x, y);
    let times = |c: f32, x: S::f32s| simd.mul_f32s(simd.splat_f32s(c), x);
    let (even_a, odd_a) = (simd.add_f32s(m[1], m[2]), simd.sub_f32s(m[1], m[2]));
    let (even_b, odd_b) = (simd.add_f32s(m[3], m[4]), simd.sub_f32s(m[3], m[4]));
    [
        simd.add_f32s(m[0], simd.add_f32s(even_a, even_b)),
        add(A, odd_a, times(B, odd_b)),
        add(A2, even_a, times(B2, even_b)),
        add(A2 * A, odd_a, add(B2 * B, odd_b, m[5])),
    ]
}
