//! One call, shapes checked: where its frames lie.

use super::geometry::Geometry;

/// `[b, c, t, h, w]` of any layout whose frames are contiguous.
#[derive(Clone, Copy)]
pub struct Video<'a> {
    /// From the first element on.
    pub data: &'a [f32],
    /// Elements from one batch, channel and frame to the next.
    pub strides: [usize; 3],
    /// Elements of a frame.
    pub plane: usize,
}

impl<'a> Video<'a> {
    fn plane(&self, batch: usize, channel: usize, frame: usize) -> &'a [f32] {
        let [b, c, t] = self.strides;
        &self.data[batch * b + channel * c + frame * t..][..self.plane]
    }
}

/// The arguments.
#[derive(Clone, Copy)]
pub struct Problem<'a> {
    pub shape: Geometry,
    pub x: Video<'a>,
    /// The frames before `x`.
    pub history: Option<Video<'a>>,
    /// `[c_out, c_in, k_t, k_h, k_w]`
    pub weight: &'a [f32],
    pub bias: Option<&'a [f32]>,
}

impl<'a> Problem<'a> {
    /// One channel of an input frame, those of the history counted backwards from -1.
    pub fn plane(&self, batch: usize, channel: usize, frame: isize) -> &'a [f32] {
        match self.history {
            Some(history) if frame < 0 => {
                history.plane(batch, channel, self.shape.past - frame.unsigned_abs())
            }
            _ => self.x.plane(batch, channel, frame.unsigned_abs()),
        }
    }

    pub fn bias(&self, output: usize) -> f32 {
        self.bias.map_or(0.0, |bias| bias[output])
    }

    /// Where pixel `at` of output channel `output` in frame `t` is in the result.
    pub fn position(&self, batch: usize, output: usize, t: usize, at: usize) -> usize {
        ((batch * self.shape.outputs + output) * self.shape.out[0] + t) * self.shape.pixels() + at
    }
}
