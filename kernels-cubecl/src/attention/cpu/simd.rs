//! A softmax that continues from the keys seen before.

#![allow(
    clippy::needless_range_loop,
    reason = "accumulators stay in registers only when indexed by constants"
)]

use pulp::Simd;

/// Below this base-2 exponent a weight is zero for every sum in f32 that holds a one.
const MIN_EXPONENT: f32 = -126.0;

/// Adding this to a float below 2²² in size rounds it to an integer, held in the low bits of the sum.
const ROUND: f32 = 12_582_912.0;

/// Coefficients of `2^x` on [-1/2, 1/2], exact at 0, with the least relative error otherwise: 1e-7.
const EXP2: [f32; 6] = [1.0, 0.693_146_95, 0.240_222_42, 0.055_507_34, 0.009_671_513, 0.001_326_471_4];

/// `2^x` for `x` of at most 0; anything below -126 counts as -126.
#[inline(always)]
pub fn exp2<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let x = simd.max_f32s(x, simd.splat_f32s(MIN_EXPONENT));
    let rounded = simd.add_f32s(x, simd.splat_f32s(ROUND));
    let rest = simd.sub_f32s(x, simd.sub_f32s(rounded, simd.splat_f32s(ROUND)));
    let mut power = simd.splat_f32s(EXP2[5]);
    for c in (0..5).rev() {
        power = simd.mul_add_e_f32s(power, rest, simd.splat_f32s(EXP2[c]));
    }
    // Adding n to the exponent bits multiplies by 2^n.
    let exponent = simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(rounded), simd.splat_u32s(23));
    simd.transmute_f32s_u32s(simd.add_u32s(simd.transmute_u32s_f32s(power), exponent))
}

/// What one group of rows knows of the keys seen so far.
pub struct Softmax<const MR: usize> {
    /// The largest score, in powers of two.
    pub max: [f32; MR],
    /// The sum of `2^(score - max)`.
    pub sum: [f32; MR],
}

impl<const MR: usize> Softmax<MR> {
    pub const START: Self = Self { max: [f32::MIN; MR], sum: [0.0; MR] };

    /// Replaces the scores in `rows` by their weights against the new maximum, and returns what earlier sums are to
    /// be multiplied by.
    #[inline(always)]
    pub fn update<S: Simd>(&mut self, simd: S, rows: &mut [&mut [S::f32s]; MR]) -> [f32; MR] {
        let len = rows[0].len();
        let mut max = [simd.splat_f32s(0.0); MR];
        for i in 0..MR {
            max[i] = simd.splat_f32s(self.max[i]);
        }
        for c in 0..len {
            for i in 0..MR {
                max[i] = simd.max_f32s(max[i], rows[i][c]);
            }
        }
        let mut factors = [0.0; MR];
        for i in 0..MR {
            let max = simd.reduce_max_f32s(max[i]);
            factors[i] = (self.max[i] - max).exp2();
            self.max[i] = max;
            self.sum[i] = self.sum[i] * factors[i] + weigh(simd, rows[i], max);
        }
        factors
    }
}

/// Replaces the scores by `2^(score - max)` and returns their sum.
#[inline(always)]
fn weigh<S: Simd>(simd: S, scores: &mut [S::f32s], max: f32) -> f32 {
    let max = simd.splat_f32s(max);
    let mut sum = simd.splat_f32s(0.0);
    for score in scores {
        *score = exp2(simd, simd.sub_f32s(*score, max));
        sum = simd.add_f32s(sum, *score);
    }
    simd.reduce_sum_f32s(sum)
}

#[cfg(test)]
mod tests {
    use pulp::{Arch, Simd, WithSimd};

    struct Exp2<'a>(&'a mut [f32]);

    impl WithSimd for Exp2<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let (x, _) = S::as_mut_simd_f32s(self.0);
            x.iter_mut().for_each(|x| *x = super::exp2(simd, *x));
        }
    }

    /// Polynomial 1e-7, and three roundings of 6e-8.
    const EXP2_ERROR: f64 = 2.8e-7;

    #[test]
    fn powers_of_two_are_accurate_over_the_whole_range() {
        let x: Vec<f32> = (0..1 << 20).map(|i| -126.0 * i as f32 / (1 << 20) as f32).collect();
        let mut y = x.clone();
        Arch::new().dispatch(Exp2(&mut y));
        let error = |(&x, &y): (&f32, &f32)| (f64::from(y) / f64::from(x).exp2() - 1.0).abs();
        assert!(x.iter().zip(&y).map(error).fold(0.0, f64::max) < EXP2_ERROR);
        assert_eq!(y[0], 1.0);
    }

    #[test]
    fn what_lies_below_the_range_stays_finite_and_vanishes() {
        let mut y = [f32::MIN, f32::NEG_INFINITY, -1e9, -127.0].repeat(4);
        Arch::new().dispatch(Exp2(&mut y));
        assert!(y.iter().all(|&y| (0.0..1e-37).contains(&y)), "{y:?}");
    }
}
