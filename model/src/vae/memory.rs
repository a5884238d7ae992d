//! How much of a video the networks work on at a time.

use burn::{
    module::{Module, ModuleMapper, Param},
    prelude::*,
    tensor::DType,
};

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
    /// Keeps the frames that convolutions look back at, by far the largest part of the memory, and the weights of
    /// convolutions in f16, and rounds what is convolved to it; f32 where the device has no f16. All sums stay f32.
    pub half: bool,
    /// In which tiles frames pass through the networks, each through all of time with histories of its own; `None` for
    /// whole frames, as the networks are defined.
    pub tiling: Option<Tiling>,
}

impl Default for VaeMemory {
    fn default() -> Self {
        Self { piece_bytes: PIECE_BYTES, half: false, tiling: None }
    }
}

impl VaeMemory {
    pub(super) fn half_on(&self, device: &Device) -> bool {
        self.half && device.supports_dtype(DType::F16)
    }

    /// `network`, whose parameters are loaded, with weights in the dtype they are kept in.
    pub(super) fn stored<M: Module>(&self, network: M) -> M {
        let half = network.devices().first().is_some_and(|device| self.half_on(device));
        if half { network.map(&mut HalfWeights) } else { network }
    }

    /// See [`Tiles::new`].
    pub(super) fn tiles(&self, size: [usize; 2], scale: [usize; 2], device: &Device) -> Tiles {
        Tiles::new(self.tiling, size, scale, self.half_on(device))
    }

    /// How many items of `elements` f32 values are worked on at a time.
    pub(super) fn at_once(&self, elements: usize) -> usize {
        (self.piece_bytes / (elements * size_of::<f32>()).max(1)).max(1)
    }
}

/// Casts the weights of convolutions, and nothing else, to f16.
struct HalfWeights;

impl ModuleMapper for HalfWeights {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if D < 4 { param } else { param.map(|weight| weight.cast(DType::F16)) }
    }
}

/// The weights of a convolution as it sums with them.
pub(super) fn summed<const D: usize>(weight: &Param<Tensor<D>>) -> Tensor<D> {
    let weight = weight.val();
    if weight.dtype() == DType::F16 { weight.cast(DType::F32) } else { weight }
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
