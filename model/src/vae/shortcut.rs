//! The ways around a stage: they change resolution and width without parameters.

use burn::prelude::*;

use super::{config::Stage, feature_cache::FeatureCache};

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

    /// `[1, c_in, t, h, w]` to `[1, c_out, t', side * h, side * w]`, where `t'` is `frames * t`, and `frames - 1` less
    /// for the chunk that holds the first frame of a video.
    pub fn forward(&self, x: Tensor<5>, cache: &mut FeatureCache) -> Tensor<5> {
        let started = std::mem::replace(&mut cache.slot().started, true);
        let surplus = if started { 0 } else { self.frames - 1 };
        let y = self.duplicate(x);
        if surplus == 0 { y } else { y.slice_dim(2, surplus..) }
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
