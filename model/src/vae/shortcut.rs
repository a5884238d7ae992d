//! The ways around a stage: they change resolution and width without parameters.

use std::ops::Range;

use burn::prelude::*;

use super::config::Stage;

/// Turns every block of frames, rows and columns into channels, and every group of consecutive channels into its
/// mean.
#[derive(Clone, Debug)]
pub(super) struct AverageDown {
    outputs: usize,
    frames: usize,
    side: usize,
}

impl AverageDown {
    /// Around a stage of the encoder, whose channels and factors must fit.
    pub fn new(stage: &Stage) -> Self {
        let [frames, side] = stage.factors();
        Self { outputs: stage.outputs, frames, side }
    }

    /// `[1, c_in, t, h, w]` to `[1, c_out, t', h / side, w / side]`, where `t'` is `t / frames`, rounded up.
    pub fn forward(&self, x: Tensor<5>) -> Tensor<5> {
        let Self { outputs, frames, side } = *self;
        let x = whole_blocks(x, frames);
        let [_, c, t, h, w] = x.dims();
        let (t, h, w) = (t / frames, h / side, w / side);
        let x = x.reshape([c * t * frames, h, side, w, side]).permute([0, 2, 4, 1, 3]); // [c t a, b, e, h, w]
        let x = x.reshape([c, t, frames, side * side, h * w]).permute([0, 2, 3, 1, 4]); // [c, a, b e, t, h w]
        let group = c * frames * side * side / outputs;
        x.reshape([outputs, group, t * h * w]).mean_dim(1).reshape([1, outputs, t, h, w])
    }
}

/// Zero frames before the first one, up to a multiple of `count`.
fn whole_blocks(x: Tensor<5>, count: usize) -> Tensor<5> {
    let [_, c, t, h, w] = x.dims();
    let lacking = t.next_multiple_of(count) - t;
    if lacking == 0 {
        return x;
    }
    Tensor::cat(vec![Tensor::zeros([1, c, lacking, h, w], &x.device()), x], 2)
}

/// Repeats every channel and turns the channels into blocks of frames, rows and columns.
#[derive(Clone, Debug)]
pub(super) struct DuplicateUp {
    outputs: usize,
    frames: usize,
    side: usize,
}

impl DuplicateUp {
    /// Around a stage of the decoder, whose channels and factors must fit.
    pub fn new(stage: &Stage) -> Self {
        let [frames, side] = stage.factors();
        Self { outputs: stage.outputs, frames, side }
    }

    /// Frames `range` of the whole result, which has `frames` for each of `x`, and `frames - 1` less for the chunk that
    /// holds the first frame of a video (`first`).
    ///
    /// # Shapes
    /// - `x`: `[1, c_in, t, h, w]`; output `[1, c_out, n, side * h, side * w]`
    pub fn forward(&self, x: &Tensor<5>, first: bool, range: Range<usize>) -> Tensor<5> {
        let surplus = if first { self.frames - 1 } else { 0 };
        let (start, end) = (range.start + surplus, range.end + surplus);
        let source = start / self.frames..end.div_ceil(self.frames);
        let before = start - source.start * self.frames;
        let y = self.duplicate(x.clone().slice_dim(2, source));
        y.slice_dim(2, before..before + range.len())
    }

    fn duplicate(&self, x: Tensor<5>) -> Tensor<5> {
        let Self { outputs, frames, side } = *self;
        let [_, c, t, h, w] = x.dims();
        let repeats = outputs * frames * side * side / c;
        let x = x.reshape([c, 1, t * h * w]).repeat_dim(1, repeats);
        let x = x.reshape([outputs * frames, side, side, t, h, w]).permute([0, 3, 4, 1, 5, 2]); // [o a, t, h, b, w, e]
        let (h, w) = (side * h, side * w);
        let x = x.reshape([outputs, frames, t, h * w]).permute([0, 2, 1, 3]); // [o, t, a, h w]
        x.reshape([1, outputs, t * frames, h, w])
    }
}
