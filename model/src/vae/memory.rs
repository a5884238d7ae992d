//! How much of a video the networks work on at a time.

use burn::{prelude::*, tensor::DType};

use super::{Tiling, tiling::Tiles};

/// Bytes of one layer's activations worked on at a time, unless a single frame, or a strip of a few rows where rows are
/// doubled, takes more. Fewer frames at a time cost the convolutions some of the work that neighbouring frames share.
const PIECE_BYTES: usize = 32 << 20;

/// What a network holds while it works; see [`VaeDecoder::with_memory`](super::VaeDecoder::with_memory).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VaeMemory {
    /// Bytes of one layer's activations that are worked on at a time, at least those of one frame. Every value gives the
    /// same video.
    pub piece_bytes: usize,
    /// Keeps the frames that convolutions look back at, the largest part of the memory, in f16, and rounds what they
    /// look at to it; f32 where the device has no f16. All else, and all sums, stay f32.
    pub half_histories: bool,
    /// In which tiles frames pass through the networks, each through all of time with histories of its own; `None` for
    /// whole frames, as the networks are defined.
    pub tiling: Option<Tiling>,
}

impl Default for VaeMemory {
    fn default() -> Self {
        Self { piece_bytes: PIECE_BYTES, half_histories: false, tiling: None }
    }
}

impl VaeMemory {
    /// See [`Tiles::new`].
    pub(super) fn tiles(&self, size: [usize; 2], scale: [usize; 2], device: &Device) -> Tiles {
        let half = self.half_histories && device.supports_dtype(DType::F16);
        Tiles::new(self.tiling, size, scale, half)
    }

    /// How many items of `elements` f32 values are worked on at a time.
    pub(super) fn at_once(&self, elements: usize) -> usize {
        (self.piece_bytes / (elements * size_of::<f32>()).max(1)).max(1)
    }
}

/// The frames of `x` in pieces of at most `most`, each a copy, so that one no longer used takes no memory, unless it is
/// all of `x`: `[1, c, t, h, w]` to `[1, c, <= most, h, w]` each.
pub(super) fn pieces(x: Tensor<5>, most: usize) -> Vec<Tensor<5>> {
    let frames = x.dims()[2];
    if frames <= most {
        return vec![x];
    }
    let piece = |start: usize| x.clone().slice_dim(2, start..(start + most).min(frames)).mul_scalar(1.0);
    (0..frames).step_by(most).map(piece).collect()
}
