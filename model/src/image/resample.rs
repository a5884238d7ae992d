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

    /// Of the side scaled to `to`, the middle `count`, which are not more than that.
    pub(super) fn middle(from: usize, to: usize, count: usize) -> Self {
        let first = (to - count) / 2;
        Self { from, to, part: first..first + count }
    }

    fn taps(&self, filter: Filter) -> Vec<Taps> {
        self.part.clone().map(|position| filter.taps(position, self.from, self.to)).collect()
    }
}

/// Scales rows and columns of `pixels`, `[rows, columns, 3]`.
pub(super) fn resample(pixels: &[u8], [rows, columns]: &[Scale; 2], filter: Filter) -> Vec<u8> {
    let (down, across) = (rows.taps(filter), columns.taps(filter));
    let (row, scaled_row) = (columns.from * 3, across.len() * 3);
    let mut out = Vec::with_capacity(down.len() * scaled_row);
    if rows_first(rows, columns) {
        let mut flat = Vec::with_capacity(down.len() * row);
        apply(&down, pixels, 0, row, &mut flat);
        flat.chunks_exact(row).for_each(|row| apply(&across, row, 0, 3, &mut out));
    } else {
        let seen = span(&down);
        let mut narrow = Vec::with_capacity(seen.len() * scaled_row);
        let rows = pixels.chunks_exact(row).skip(seen.start).take(seen.len());
        rows.for_each(|row| apply(&across, row, 0, 3, &mut narrow));
        apply(&down, &narrow, seen.start, scaled_row, &mut out);
    }
    out
}

/// Each direction rounds, so their order shows. Pillow 13 begins with rows where it removes more than twice as many of
/// them as columns; older versions always begin with columns.
fn rows_first(rows: &Scale, columns: &Scale) -> bool {
    let removed = |scale: &Scale| scale.from as i128 - scale.to as i128;
    removed(rows) > 0 && removed(rows) > 2 * removed(columns)
}

/// The inputs that any of `taps` reads.
fn span(taps: &[Taps]) -> Range<usize> {
    match taps {
        [first, .., last] => first.first..last.first + last.weights.len(),
        [only] => only.first..only.first + only.weights.len(),
        [] => 0..0,
    }
}

/// Appends to `out` what `taps` make of `block`: inputs of `inner` bytes, without the first `skipped`.
fn apply(taps: &[Taps], block: &[u8], skipped: usize, inner: usize, out: &mut Vec<u8>) {
    for taps in taps {
        let inputs = &block[(taps.first - skipped) * inner..];
        out.extend((0..inner).map(|n| taps.sum(inputs[n..].iter().step_by(inner))));
    }
}

impl Taps {
    fn sum<'a>(&self, inputs: impl Iterator<Item = &'a u8>) -> u8 {
        let half = 1 << (FRACTION_BITS - 1);
        let sum = inputs.zip(&self.weights).fold(half, |sum, (&byte, weight)| sum + i32::from(byte) * weight);
        (sum >> FRACTION_BITS).clamp(0, 255) as u8
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
