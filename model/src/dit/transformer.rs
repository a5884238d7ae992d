//! The whole transformer: embed, blocks, head.

use std::{borrow::Cow, convert::Infallible, fmt, sync::Arc};

use burn::{module::Module, prelude::*};
use tracing::instrument;
use wan_kernels::{RopeTable, silu};

use super::{
    CameraContext, CameraEmbed, Conditions, Context, Head, ImageEmbed, PatchEmbed, TextEmbed, TimeEmbed,
    Timestep, WanBlock, block::Shared, context::Kept,
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
    watch: Option<BlockWatch>,
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
            watch: None,
            config: config.clone(),
        }
    }

    /// Moves everything but the blocks to `device`. They stay where they are, such as in a mapped file on the host, and
    /// follow one by one in every pass: two of them are on the device at a time.
    pub fn with_blocks_streamed_to(mut self, device: &Device) -> Self {
        let blocks = std::mem::take(&mut self.blocks);
        Self { blocks, streamed_to: Some(device.clone()), ..self.to_device(device) }
    }

    /// The same network, which tells `watch` of each block that a pass comes to.
    pub fn watched_by(self, watch: BlockWatch) -> Self {
        Self { watch: Some(watch), ..self }
    }

    pub fn config(&self) -> &WanConfig {
        &self.config
    }

    /// A text as the blocks take it; the same for every step of a run.
    ///
    /// # Shapes
    /// - `text`: `[1, n, text_dim]` f32, `n <= text_len` rows without padding: what is missing are rows of zeros, which
    ///   are embedded and attended to like all others
    pub fn embed_text(&self, text: Tensor<3>) -> Context {
        let [_, rows, width] = text.dims();
        let padding = self.config.text_len - rows;
        let text = match padding {
            0 => text,
            _ => Tensor::cat(vec![text.clone(), Tensor::zeros([1, 1, width], &text.device())], 1),
        };
        Context::new(self.text_embedding.forward(text), padding.max(1), self.config.layers)
    }

    /// The CLIP states of one or two pictures as the blocks take them; the same for every step of a run.
    ///
    /// # Shapes
    /// - `states`: `[pictures, tokens, image_dim]` f32
    /// - its rows: `[1, pictures * tokens, d]`
    ///
    /// # Errors
    /// [`ModelError::NoImageBranch`] and [`ModelError::ImageStates`].
    pub fn embed_image(&self, states: Tensor<3>) -> Result<Context, ModelError> {
        let rows = self.image_embedding.as_ref().ok_or(ModelError::NoImageBranch)?.forward(states)?;
        Ok(Context::new(rows, 1, self.config.layers))
    }

    /// A camera path as the blocks take it; the same for every step of a run. The modulations of the first
    /// `blocks_kept` blocks are kept from the first pass on, `2 * l * d` values of the matmuls' dtype each; the other
    /// blocks compute theirs in every pass, once for all texts.
    ///
    /// # Shapes
    /// - `control`: `[1, l, control values]` f32, of [`crate::camera::control_tokens`]
    ///
    /// # Errors
    /// [`ModelError::NoCameraBranch`] and [`ModelError::ControlWidth`].
    pub fn embed_camera(&self, control: Tensor<3>, blocks_kept: usize) -> Result<CameraContext, ModelError> {
        let embedded = self.camera.as_ref().ok_or(ModelError::NoCameraBranch)?.forward(control)?;
        Ok(CameraContext { embedded, kept: Kept::of_first(blocks_kept.min(self.config.layers)) })
    }

    /// The rotary table for latents of `[frames, rows, columns]`; the same for every step of a run.
    pub fn rope(&self, latent: [usize; 3], device: &Device) -> RopeTable {
        RopeTable::new(self.grid(latent), self.config.head_dim(), device)
    }

    /// Makes what blocks keep of `conditions`, which else the first pass would make. Where blocks come out of a file or
    /// from another device in every pass, the first pass does make it, so that they come once. `go_on` is asked before
    /// each block.
    ///
    /// # Errors
    /// That of `go_on`.
    pub fn keep<const N: usize, E>(
        &self,
        conditions: Conditions<'_, N>,
        mut go_on: impl FnMut() -> Result<(), E>,
    ) -> Result<(), E> {
        if self.streamed_to.is_some() || self.watch.is_some() {
            return Ok(());
        }
        for (index, block) in self.blocks.iter().enumerate() {
            go_on()?;
            block.keep(index, &conditions);
        }
        Ok(())
    }

    /// The same network without its blocks after the first: a pass of it runs every kernel of a whole pass, as blocks are
    /// alike.
    pub fn of_first_block(&self) -> Self {
        let mut network = self.clone();
        network.blocks.truncate(1);
        network
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
        let Ok([y]) = self.forward_each(x, timestep, conditions.into(), rope, || Ok::<_, Infallible>(()));
        y
    }

    /// [`Self::forward`] with each of several texts, block by block in turn: what does not depend on the text is
    /// computed once, and blocks that are streamed come once. `go_on` is asked before each.
    ///
    /// # Errors
    /// That of `go_on`.
    ///
    /// # Panics
    /// As [`Self::forward`].
    pub fn forward_each<const N: usize, E>(
        &self,
        x: Tensor<5>,
        timestep: impl Into<Timestep>,
        conditions: Conditions<'_, N>,
        rope: &RopeTable,
        go_on: impl FnMut() -> Result<(), E>,
    ) -> Result<[Tensor<5>; N], E> {
        let [_, _, frames, rows, columns] = x.dims();
        let Conditions { texts, image, camera } = conditions;
        let time = self.embed_time(timestep.into(), &x.device());
        let projected = self.time_projection.forward(silu(time.clone()));
        let projected = projected.reshape([-1, 6, self.config.dim as i32]);
        let [time, projected] = [time, projected].map(|rows| by_frame(rows, frames / self.config.patch[0]));
        let shared = Shared { time: projected, image, camera, rope };
        let tokens = self.patch_embedding.forward(x);
        let tokens = self.pass_blocks(vec![tokens; N], &texts, &shared, go_on)?;
        let head = |tokens| self.unpatchify(self.head.forward(tokens, time.clone()), [frames, rows, columns]);
        let results: Vec<_> = tokens.into_iter().map(head).collect();
        Ok(results.try_into().expect("a result for each text"))
    }

    /// `[1, l, d]` through all blocks, with each text. Of streamed blocks the next is on its way while the device
    /// computes one, which is gone before the one after that sets out.
    fn pass_blocks<E>(
        &self,
        mut xs: Vec<Tensor<3>>,
        texts: &[&Context],
        shared: &Shared,
        mut go_on: impl FnMut() -> Result<(), E>,
    ) -> Result<Vec<Tensor<3>>, E> {
        let mut next = self.block(0);
        for index in 0..self.blocks.len() {
            let Some(block) = next else { break };
            if let Some(BlockWatch(reached)) = &self.watch {
                reached(index);
            }
            let reading = block.read(index, shared);
            let with_text = |(x, text): (_, &&Context)| {
                go_on()?;
                Ok(block.forward(x, shared.rope, block.read_text(index, text), reading.clone()))
            };
            xs = xs.into_iter().zip(texts).map(with_text).collect::<Result<_, E>>()?;
            next = self.block(index + 1);
            if let Some(device) = &self.streamed_to {
                // A device that failed says so where the result is read.
                let _ = device.sync();
            }
        }
        Ok(xs)
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

/// Called with the index of each block that a pass comes to, such as to have the next one's weights read in time.
#[derive(Clone)]
pub struct BlockWatch(pub Arc<dyn Fn(usize) + Send + Sync>);

impl fmt::Debug for BlockWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlockWatch")
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
