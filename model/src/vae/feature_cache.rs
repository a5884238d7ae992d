//! What a causal network remembers of the frames it has seen.

use burn::{prelude::*, tensor::DType};

/// One slot per layer that looks back in time, in execution order. A fresh cache starts a new video.
#[derive(Debug, Default)]
pub(super) struct FeatureCache {
    slots: Vec<Slot>,
    next: usize,
    /// Whether frames are kept, and seen by their convolution, in f16.
    half: bool,
}

/// The memory of one layer.
#[derive(Debug, Default)]
pub(super) struct Slot {
    /// Whether the layer has seen the first frame of the video.
    pub started: bool,
    half: bool,
    /// `[1, c, 1, h, w]` each, the oldest first.
    frames: Vec<Tensor<5>>,
}

/// What a layer of a network under way remembers of the frames before; of all layers, in order of execution, it is
/// everything by which a stream differs from one that begins.
#[derive(Clone, Debug)]
pub struct LayerMemory {
    /// Whether the layer has seen the first frame of the video.
    pub started: bool,
    /// `[1, c, 1, h, w]` each, the oldest first.
    pub frames: Vec<Tensor<5>>,
}

impl FeatureCache {
    /// A cache that goes on from what another one of the same network held.
    pub fn remembering(memory: Vec<LayerMemory>, half: bool) -> Self {
        let slots = memory.into_iter().map(|LayerMemory { started, frames }| Slot { started, half, frames });
        Self { slots: slots.collect(), next: 0, half }
    }

    pub fn memory(&self) -> Vec<LayerMemory> {
        let layer = |slot: &Slot| LayerMemory { started: slot.started, frames: slot.frames.clone() };
        self.slots.iter().map(layer).collect()
    }

    pub fn new(half: bool) -> Self {
        Self { half, ..Self::default() }
    }

    /// The place of the layer whose turn it is.
    pub fn place(&self) -> usize {
        self.next
    }

    /// Goes on with the layer at `place`: 0 starts a pass over all layers.
    pub fn resume(&mut self, place: usize) {
        self.next = place;
    }

    /// The slot of the layer that asks.
    pub fn slot(&mut self) -> &mut Slot {
        if self.next == self.slots.len() {
            self.slots.push(Slot { half: self.half, ..Slot::default() });
        }
        self.next += 1;
        &mut self.slots[self.next - 1]
    }
}

impl Slot {
    /// `x` as it is kept, and the frames before it, at most `count`; from now on the last ones of both together.
    ///
    /// # Shapes
    /// - `x`: `[1, c, t, h, w]`; history `[1, c, 1, h, w]` each, none before the first frame
    pub fn advance(&mut self, x: Tensor<5>, count: usize) -> (Tensor<5>, Vec<Tensor<5>>) {
        let x = if self.half { x.cast(DType::F16) } else { x };
        let history = self.remember(&x, count);
        (x, history)
    }

    /// As [`Self::advance`], for an `x` to be kept as it is. A single frame is kept without a copy.
    pub fn remember(&mut self, x: &Tensor<5>, count: usize) -> Vec<Tensor<5>> {
        let frames = x.dims()[2];
        let older = count.saturating_sub(frames).min(self.frames.len());
        let mut kept = self.frames[self.frames.len() - older..].to_vec();
        match frames {
            1 => kept.push(x.clone()),
            _ => kept.extend((frames.saturating_sub(count)..frames).map(|frame| copy_of_frame(x, frame))),
        }
        std::mem::replace(&mut self.frames, kept)
    }

    /// Whether nothing is remembered yet.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }
}

/// A slice may be a view that keeps the whole chunk alive; this is none.
fn copy_of_frame(x: &Tensor<5>, frame: usize) -> Tensor<5> {
    x.clone().slice_dim(2, frame..frame + 1).mul_scalar(1.0)
}
