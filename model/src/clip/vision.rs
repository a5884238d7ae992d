//! The encoder from pixels to token states.

use burn::{
    module::{Module, Param},
    prelude::*,
    tensor::DType,
};

use super::{ClipVisionConfig, block::ClipBlock};
use crate::{norm::AffineNorm, param::param};

/// A vision transformer up to the input of its last block, which is what Wan attends to.
#[derive(Module, Debug)]
pub struct ClipVision {
    embed: Embed,
    pre_norm: AffineNorm,
    blocks: Vec<ClipBlock>,
}

impl ClipVision {
    /// An encoder without memory until loaded.
    pub fn new(config: &ClipVisionConfig, device: &Device) -> Self {
        let blocks = config.layers.saturating_sub(1);
        Self {
            embed: Embed::new(config, device),
            pre_norm: AffineNorm::new(config.width, config.eps, device),
            blocks: (0..blocks).map(|_| ClipBlock::new(config, device)).collect(),
        }
    }

    /// Normalised pictures `[b, 3, s, s]` in f32, `s` the configuration's `image_size`, to token states
    /// `[b, tokens, width]` in f32, the class token first.
    ///
    /// # Panics
    /// If the pictures have another size.
    pub fn forward(&self, pictures: Tensor<4>) -> Tensor<3> {
        let x = self.pre_norm.forward(self.embed.forward(pictures));
        self.blocks.iter().fold(x, |x, block| block.forward(x))
    }
}

/// Patches and class token, each with its position.
#[derive(Module, Debug)]
struct Embed {
    /// `[width, 3, patch, patch]`, a convolution whose windows do not overlap.
    patch: Param<Tensor<4>>,
    class: Param<Tensor<1>>,
    /// `[tokens, width]`.
    position: Param<Tensor<2>>,
}

impl Embed {
    fn new(config: &ClipVisionConfig, device: &Device) -> Self {
        let &ClipVisionConfig { width, patch, .. } = config;
        Self {
            patch: param([width, 3, patch, patch], device),
            class: param([width], device),
            position: param([config.tokens(), width], device),
        }
    }

    /// `[b, 3, s, s]` to `[b, tokens, width]`.
    fn forward(&self, pictures: Tensor<4>) -> Tensor<3> {
        let patches = self.patches(pictures);
        let [b, _, width] = patches.dims();
        let class = self.class.val().cast(DType::F32).reshape([1, 1, width]).expand([b, 1, width]);
        Tensor::cat(vec![class, patches], 1) + self.position.val().cast(DType::F32).unsqueeze::<3>()
    }

    /// `[b, 3, s, s]` to `[b, patches, width]`, row by row.
    fn patches(&self, pictures: Tensor<4>) -> Tensor<3> {
        let weight = self.patch.val().cast(DType::F32);
        let ([width, c, p, _], [b, _, rows, columns]) = (weight.dims(), pictures.dims());
        let (i, j) = (rows / p, columns / p);
        let patches: Tensor<6> = pictures.reshape([b, c, i, p, j, p]).permute([0, 2, 4, 1, 3, 5]);
        let patches = patches.reshape([b * i * j, c * p * p]);
        patches.matmul(weight.reshape([width, c * p * p]).transpose()).reshape([b, i * j, width])
    }
}
