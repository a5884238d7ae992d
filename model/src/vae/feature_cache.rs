//! What a causal network remembers of the frames it has seen.

use burn::prelude::*;

/// One slot per layer that looks back in time, in execution order. A fresh cache starts a new video.
#[derive(Debug, Default)]
pub(super) struct FeatureCache {
    slots: Vec<Slot>,
    next: usize,
}

/// The memory of one layer.
#[derive(Debug, Default)]
pub(super) struct Slot {
    /// Whether the layer has seen the first frame of the video.
    pub started: bool,
    history: Option<Tensor<5>>,
}

impl FeatureCache {
    /// Starts a pass over the layers.
    pub fn rewind(&mut self) {
        self.next = 0;
    }

    /// The slot of the layer that asks.
    pub fn slot(&mut self) -> &mut Slot {
        if self.next == self.slots.len() {
            self.slots.push(Slot::default());
        }
        self.next += 1;
        &mut self.slots[self.next - 1]
    }
}

impl Slot {
    /// The frames before `x`, at most `count`; from now on the last ones of both together.
    ///
    /// # Shapes
    /// - `x`: `[1, c, t, h, w]`; output `[1, c, <= count, h, w]`, `None` before the first frame
    pub fn advance(&mut self, x: &Tensor<5>, count: usize) -> Option<Tensor<5>> {
        let history = self.history.take();
        let frames = x.dims()[2];
        self.history = Some(match &history {
            Some(history) if frames < count => last_frames(join(history.clone(), x.clone()), count),
            _ => last_frames(x.clone(), count),
        });
        history
    }
}

fn join(history: Tensor<5>, x: Tensor<5>) -> Tensor<5> {
    Tensor::cat(vec![history, x], 2)
}

/// A copy of the last `count` frames: a slice may be a view that keeps the whole chunk alive.
fn last_frames(x: Tensor<5>, count: usize) -> Tensor<5> {
    let frames = x.dims()[2];
    if frames <= count {
        return x;
    }
    x.slice_dim(2, frames - count..).mul_scalar(1.0)
}
