//! The whole transformer: embed, blocks, head.

use std::borrow::Cow;

use burn::{module::Module, prelude::*};
use tracing::instrument;
use wan_kernels::{RopeTable, silu};

use super::{
    CameraContext, CameraEmbed, Conditions, Head, ImageEmbed, PatchEmbed, TextEmbed, TimeEmbed, Timestep,
    WanBlock, block::Shared,
};
use crate::{Linear, ModelError, WanConfig, linear::LargeLinears, sinusoid};

/// Predicts the flow `noise - x0` of noisy latents at a timestep, given text and what else its kind takes.
#[derive(Module, Debug)]
pub struct WanTransformer {
    patch_embedding: PatchEmbed,
    text_embedding: TextEmbed,
    image_embedding: Option<ImageEmbed>,
    camera: Option<CameraEmbed>,
    time_embedding: TimeEmbed,
    time_projection: Linear,
    blocks: Vec<WanBlock>,
    head: Head,
    /// Where blocks that are held elsewhere are computed.
    #[module(skip)]
    streamed_to: Option<Device>,
    #[module(skip)]
    config: WanConfig,
}

impl WanTransformer {
    /// The network without weights.
    pub fn new(config: &WanConfig, device: &Device) -> Self {
        Self {
            patch_embedding: PatchEmbed::new(config, device),
            text_embedding: TextEmbed::new(config, device),
            image_embedding: ImageEmbed::new(config, device),
            camera: CameraEmbed::new(config, device),
            time_embedding: TimeEmbed::new(config, device),
            time_projection: Linear::new(config.dim, 6 * config.dim, device),
            blocks: (0..config.layers).map(|_| WanBlock::new(config, device)).collect(),
            head: Head::new(config, device),
            streamed_to: None,
            config: config.clone(),
        }
    }

    /// Moves everything but the blocks to `device`. They stay where they are, such as in a mapped file on the host, and
    /// follow one by one in every pass: two of them are on the device at a time.
    pub fn with_blocks_streamed_to(mut self, device: &Device) -> Self {
        let blocks = std::mem::take(&mut self.blocks);
        Self { blocks, streamed_to: Some(device.clone()), ..self.to_device(device) }
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

    /// The CLIP states of one or two pictures as the blocks take them; the same for every step of a run.
    ///
    /// # Shapes
    /// - `states`: `[pictures, tokens, image_dim]` f32
    /// - result: `[1, pictures * tokens, d]`
    ///
    /// # Errors
    /// [`ModelError::NoImageBranch`] and [`ModelError::ImageStates`].
    pub fn embed_image(&self, states: Tensor<3>) -> Result<Tensor<3>, ModelError> {
        self.image_embedding.as_ref().ok_or(ModelError::NoImageBranch)?.forward(states)
    }

    /// A camera path as the blocks take it; the same for every step of a run. The modulations of the first
    /// `blocks_kept` blocks are computed now and held, `2 * l * d` values of the matmuls' dtype each; the other blocks
    /// compute theirs in every pass.
    ///
    /// # Shapes
    /// - `control`: `[1, l, control values]` f32, of [`crate::camera::control_tokens`]
    ///
    /// # Errors
    /// [`ModelError::NoCameraBranch`] and [`ModelError::ControlWidth`].
    pub fn embed_camera(&self, control: Tensor<3>, blocks_kept: usize) -> Result<CameraContext, ModelError> {
        let embedded = self.camera.as_ref().ok_or(ModelError::NoCameraBranch)?.forward(control)?;
        let kept = (0..blocks_kept).map_while(|index| self.block(index)).filter_map(|block| {
            let injection = block.camera.as_ref()?;
            Some(injection.kept(embedded.clone()))
        });
        let kept = kept.collect();
        Ok(CameraContext { embedded, kept })
    }

    /// The rotary table for latents of `[frames, rows, columns]`; the same for every step of a run.
    pub fn rope(&self, latent: [usize; 3], device: &Device) -> RopeTable {
        RopeTable::new(self.grid(latent), self.config.head_dim(), device)
    }

    /// One forward pass. Embedded text alone is a condition; what the network has no branch for is left out.
    ///
    /// # Shapes
    /// - `x`: `[1, in_dim, frames, rows, columns]` f32 latents
    /// - result: `[1, out_dim, frames, rows, columns]` f32
    ///
    /// # Panics
    /// If `x` has other channels than the network takes, or a camera other tokens than `x`.
    pub fn forward<'a>(
        &self,
        x: Tensor<5>,
        timestep: impl Into<Timestep>,
        conditions: impl Into<Conditions<'a>>,
        rope: &RopeTable,
    ) -> Tensor<5> {
        let [_, _, frames, rows, columns] = x.dims();
        let Conditions { text, image, camera } = conditions.into();
        let time = self.embed_time(timestep.into(), &x.device());
        let projected = self.time_projection.forward(silu(time.clone()));
        let projected = projected.reshape([-1, 6, self.config.dim as i32]);
        let [time, projected] = [time, projected].map(|rows| by_frame(rows, frames / self.config.patch[0]));
        let shared = Shared { time: projected, text, image, rope };
        let tokens = self.pass_blocks(self.patch_embedding.forward(x), &shared, camera);
        self.unpatchify(self.head.forward(tokens, time), [frames, rows, columns])
    }

    /// `[1, l, d]` through all blocks. Of streamed ones the next is on its way while the device computes one, which is
    /// gone before the one after that sets out.
    fn pass_blocks(&self, x: Tensor<3>, shared: &Shared, camera: Option<&CameraContext>) -> Tensor<3> {
        let (mut x, mut next) = (x, self.block(0));
        for index in 0..self.blocks.len() {
            let Some(block) = next else { break };
            let injection = block.camera.as_ref();
            let camera = camera.zip(injection).map(|(camera, part)| camera.modulation(index, part));
            x = block.forward(x, shared, camera);
            next = self.block(index + 1);
            if let Some(device) = &self.streamed_to {
                // A device that failed says so where the result is read.
                let _ = device.sync();
            }
        }
        x
    }

    /// Block `index` where it is computed.
    fn block(&self, index: usize) -> Option<Cow<'_, WanBlock>> {
        let block = self.blocks.get(index)?;
        Some(match &self.streamed_to {
            None => Cow::Borrowed(block),
            Some(device) => Cow::Owned(block.clone().to_device(device)),
        })
    }

    /// `[n, 1, d]`, a row for each distinct timestep.
    #[instrument(name = "time embedding", level = "trace", skip_all)]
    fn embed_time(&self, timestep: Timestep, device: &Device) -> Tensor<3> {
        let (rows, width) = (timestep.distinct(), self.config.freq_dim);
        let values: Vec<f32> = rows.iter().flat_map(|&timestep| sinusoid(timestep, width)).collect();
        let sinusoids = Tensor::from_data(TensorData::new(values, [rows.len(), 1, width]), device);
        self.time_embedding.forward(sinusoids)
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

/// Those of the blocks.
impl LargeLinears for WanTransformer {
    fn large_linears(&mut self, at: &str, visit: &mut dyn FnMut(&str, &mut Linear)) {
        for (index, block) in self.blocks.iter_mut().enumerate() {
            block.large_linears(&format!("{at}blocks.{index}"), visit);
        }
    }
}

/// `[1, k, d]` as it is; of `[2, k, d]` the first for the first of `frames` and the second for all others.
fn by_frame(rows: Tensor<3>, frames: usize) -> Tensor<3> {
    if rows.dims()[0] == 1 {
        return rows;
    }
    let second: Vec<i32> = (0..frames).map(|frame| i32::from(frame > 0)).collect();
    let second = Tensor::<1, Int>::from_data(TensorData::new(second, [frames]), &rows.device());
    rows.select(0, second)
}
