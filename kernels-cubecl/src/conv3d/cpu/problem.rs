//! One call, shapes checked: where its frames lie.

use std::ops::Range;

use half::{f16, slice::HalfFloatSliceExt};

use super::geometry::Geometry;

/// Values in one of the dtypes that are read where they lie.
#[derive(Clone, Copy)]
pub enum Pixels<'a> {
    F32(&'a [f32]),
    F16(&'a [f16]),
}

impl<'a> Pixels<'a> {
    #[inline(always)]
    pub fn part(self, range: Range<usize>) -> Self {
        match self {
            Self::F32(values) => Self::F32(&values[range]),
            Self::F16(values) => Self::F16(&values[range]),
        }
    }

    #[inline(always)]
    pub fn len(self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F16(values) => values.len(),
        }
    }

    /// Writes as many values as `to` holds.
    #[inline(always)]
    pub fn copy_to(self, to: &mut [f32]) {
        match self {
            Self::F32(values) => to.copy_from_slice(values),
            Self::F16(values) => values.convert_to_f32_slice(to),
        }
    }

    /// Of a tensor that was cast to f32.
    #[inline(always)]
    pub fn f32(self) -> &'a [f32] {
        match self {
            Self::F32(values) => values,
            Self::F16(_) => unreachable!("only Winograd's form reads f16"),
        }
    }
}

/// `[b, c, t, h, w]` of any layout whose frames are contiguous.
#[derive(Clone, Copy)]
pub struct Video<'a> {
    /// From the first element on.
    pub pixels: Pixels<'a>,
    /// Elements from one batch, channel and frame to the next.
    pub strides: [usize; 3],
    pub frames: usize,
    /// Elements of a frame.
    pub plane: usize,
}

impl<'a> Video<'a> {
    fn plane(&self, batch: usize, channel: usize, frame: usize) -> Pixels<'a> {
        let [b, c, t] = self.strides;
        let start = batch * b + channel * c + frame * t;
        self.pixels.part(start..start + self.plane)
    }
}

/// The arguments.
#[derive(Clone, Copy)]
pub struct Problem<'a> {
    pub shape: Geometry,
    pub x: Video<'a>,
    /// The frames before `x`, the oldest first.
    pub history: &'a [Video<'a>],
    /// `[c_out, c_in, k_t, k_h, k_w]`
    pub weight: &'a [f32],
    pub bias: Option<&'a [f32]>,
}

impl<'a> Problem<'a> {
    /// One channel of an input frame, those of the history counted backwards from -1.
    pub fn plane(&self, batch: usize, channel: usize, frame: isize) -> Pixels<'a> {
        let mut at = self.shape.past as isize + frame;
        let pieces = self.history.iter().chain([&self.x]);
        for piece in pieces {
            if at < piece.frames as isize {
                return piece.plane(batch, channel, at.unsigned_abs());
            }
            at -= piece.frames as isize;
        }
        unreachable!("taps lie on frames")
    }

    pub fn bias(&self, output: usize) -> f32 {
        self.bias.map_or(0.0, |bias| bias[output])
    }

    /// Where pixel `at` of output channel `output` in frame `t` is in the result.
    pub fn position(&self, batch: usize, output: usize, t: usize, at: usize) -> usize {
        ((batch * self.shape.outputs + output) * self.shape.out[0] + t) * self.shape.pixels() + at
    }
}
