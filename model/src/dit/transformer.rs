//! The whole transformer: embed, blocks, head.

use burn::{module::Module, prelude::*};
use wan_kernels::{RopeTable, silu};

use super::{Head, PatchEmbed, TextEmbed, TimeEmbed, WanBlock};
use crate::{Linear, WanConfig, sinusoid};

/// Predicts the flow `noise - x0` of noisy latents at a timestep, given text.
#[derive(Module, Debug)]
pub struct WanTransformer {
    patch_embedding: PatchEmbed,
    text_embedding: TextEmbed,
    time_embedding: TimeEmbed,
    time_projection: Linear,
    blocks: Vec<WanBlock>,
    head: Head,
    #[module(skip)]
    config: WanConfig,
}

impl WanTransformer {
    /// The network without weights.
    pub fn new(config: &WanConfig, device: &Device) -> Self {
        Self {
            patch_embedding: PatchEmbed::new(config, device),
            text_embedding: TextEmbed::new(config, device),
            time_embedding: TimeEmbed::new(config, device),
            time_projection: Linear::new(config.dim, 6 * config.dim, device),
            blocks: (0..config.layers).map(|_| WanBlock::new(config, device)).collect(),
            head: Head::new(config, device),
            config: config.clone(),
        }
    }

    pub fn config(&self) -> &WanConfig {
        &self.config
    }

    /// The text rows as the blocks take them; the same for every step of a run.
    ///
    /// # Shapes
    /// - `text`: `[1, n, text_dim]` f32, `n <= text_len` rows without padding
    /// - result: `[1, text_len, d]`: padding rows are zeros before the MLP and are attended to like all others
    pub fn embed_text(&self, text: Tensor<3>) -> Tensor<3> {
        let [_, rows, width] = text.dims();
        let padding = Tensor::zeros([1, self.config.text_len - rows, width], &text.device());
        self.text_embedding.forward(Tensor::cat(vec![text, padding], 1))
    }

    /// The rotary table for latents of `[frames, rows, columns]`; the same for every step of a run.
    pub fn rope(&self, latent: [usize; 3], device: &Device) -> RopeTable {
        RopeTable::new(self.grid(latent), self.config.head_dim(), device)
    }

    /// One forward pass.
    ///
    /// # Shapes
    /// - `x`: `[1, in_dim, frames, rows, columns]` f32 latents; `context`: of [`Self::embed_text`]
    /// - `timestep`: 0 to 1000
    /// - result: `[1, out_dim, frames, rows, columns]` f32
    pub fn forward(&self, x: Tensor<5>, timestep: f64, context: &Tensor<3>, rope: &RopeTable) -> Tensor<5> {
        let [_, _, frames, rows, columns] = x.dims();
        let time = self.embed_time(timestep, &x.device());
        let projected = self.time_projection.forward(silu(time.clone()));
        let projected = projected.reshape([1, 6, self.config.dim]);
        let tokens = self.blocks.iter().fold(self.patch_embedding.forward(x), |tokens, block| {
            block.forward(tokens, projected.clone(), context.clone(), rope)
        });
        self.unpatchify(self.head.forward(tokens, time), [frames, rows, columns])
    }

    fn embed_time(&self, timestep: f64, device: &Device) -> Tensor<3> {
        let values = sinusoid(timestep, self.config.freq_dim);
        self.time_embedding
            .forward(Tensor::from_data(TensorData::new(values, [1, 1, self.config.freq_dim]), device))
    }

    fn grid(&self, latent: [usize; 3]) -> [usize; 3] {
        std::array::from_fn(|axis| latent[axis] / self.config.patch[axis])
    }

    /// `[1, l, pt * ph * pw * c]`, channel last within a patch, to `[1, c, frames, rows, columns]`.
    fn unpatchify(&self, x: Tensor<3>, latent: [usize; 3]) -> Tensor<5> {
        let ([f, i, j], [pt, ph, pw], c) = (self.grid(latent), self.config.patch, self.config.out_dim);
        let by_frame: Tensor<4> = x.reshape([f, i * j, pt, ph * pw * c]).swap_dims(1, 2);
        let patches: Tensor<6> = by_frame.reshape([f * pt, i, j, ph, pw, c]).permute([5, 0, 1, 3, 2, 4]);
        patches.reshape([1, c, latent[0], latent[1], latent[2]])
    }
}
