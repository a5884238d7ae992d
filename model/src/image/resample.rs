//! Pillow's resampling of 8-bit channels: filters widened when they shrink, weights in fixed point, each direction
//! rounded to bytes.

use std::{f64::consts::PI, ops::Range};

/// A resampling filter of Pillow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Cubic convolution over two pixels to each side.
    Bicubic,
    /// A sinc windowed by a wider one, over three pixels to each side.
    Lanczos,
}

/// Fraction bits of a weight: a byte's 8 and 2 for sums beyond the range leave 22 of 32.
const FRACTION_BITS: u32 = 32 - 8 - 2;

/// The inputs from `first` on that make one output.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

/// A side of `from` pixels scaled to `to`, of which `part` is made.
pub(super) struct Scale {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) part: Range<usize>,
}

impl Scale {
    pub(super) fn whole(from: usize, to: usize) -> Self {
        Self { from, to, part: 0..to }
    }

    /// Resizes the middle axis of `bytes`, `[any, from, inner]`.
    pub(super) fn resample(&self, bytes: &[u8], inner: usize, filter: Filter) -> Vec<u8> {
        let (read, written) = (self.from * inner, self.part.len() * inner);
        let taps: Vec<_> =
            self.part.clone().map(|position| filter.taps(position, self.from, self.to)).collect();
        let mut out = vec![0; bytes.len() / read * written];
        for (block, out) in bytes.chunks_exact(read).zip(out.chunks_exact_mut(written)) {
            for (taps, out) in taps.iter().zip(out.chunks_exact_mut(inner)) {
                taps.apply(&block[taps.first * inner..], out);
            }
        }
        out
    }
}

impl Taps {
    /// The weighted sum of the first rows of `bytes`, each as long as `out`.
    fn apply(&self, bytes: &[u8], out: &mut [u8]) {
        let inner = out.len();
        for (n, out) in out.iter_mut().enumerate() {
            let column = bytes[n..].iter().step_by(inner);
            let half = 1 << (FRACTION_BITS - 1);
            let sum =
                column.zip(&self.weights).fold(half, |sum, (&byte, weight)| sum + i32::from(byte) * weight);
            *out = (sum >> FRACTION_BITS).clamp(0, 255) as u8;
        }
    }
}

impl Filter {
    /// The filter of output `position` of `to`, among `from` inputs.
    fn taps(self, position: usize, from: usize, to: usize) -> Taps {
        let scale = from as f64 / to as f64;
        let (widening, centre) = (scale.max(1.0), (position as f64 + 0.5) * scale);
        let reach = self.reach() * widening;
        let first = (centre - reach + 0.5).max(0.0) as usize;
        let end = ((centre + reach + 0.5) as usize).min(from);
        let at = |n: usize| self.weight((n as f64 - centre + 0.5) / widening);
        let weights: Vec<f64> = (first..end).map(at).collect();
        let sum: f64 = weights.iter().sum();
        Taps { first, weights: weights.into_iter().map(|weight| fixed(weight / sum)).collect() }
    }

    /// Input pixels to each side, unless it shrinks.
    fn reach(self) -> f64 {
        match self {
            Self::Bicubic => 2.0,
            Self::Lanczos => 3.0,
        }
    }

    /// The weight of an input `x` pixels from the output's centre.
    fn weight(self, x: f64) -> f64 {
        match self {
            Self::Bicubic => cubic(x.abs()),
            Self::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
            Self::Lanczos => 0.0,
        }
    }
}

/// Cubic convolution with a = -0.5 at distance `x`.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    match x {
        x if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
        x if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
        _ => 0.0,
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { (x * PI).sin() / (x * PI) }
}

/// Rounded to the nearest, halves away from zero.
fn fixed(weight: f64) -> i32 {
    (weight * f64::from(1 << FRACTION_BITS)).round() as i32
}
