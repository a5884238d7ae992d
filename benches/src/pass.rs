//! One forward pass of a transformer on random latents, ready to be run again and again.

use std::convert::Infallible;

use burn::{
    prelude::*,
    tensor::{DType, Distribution},
};
use wan_kernels::{DeviceCaps, DeviceKind, RopeTable};
use wan_model::{CameraContext, Conditions, Context, ModelError, ModelKind, WanConfig, WanTransformer};

use crate::Length;

/// Rows of a prompt before they are padded.
const PROMPT_ROWS: usize = 20;
/// CLIP tokens of one picture.
const PICTURE_ROWS: usize = 257;
/// The timestep of every pass; time does not depend on it.
const TIMESTEP: f64 = 500.0;
/// What a run keeps of the camera's scale and shift.
const KEPT_BYTES: usize = 1 << 30;

/// Whether the camera branch takes part, and for how many blocks its scale and shift are held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Camera {
    /// The branch is left out.
    pub off: bool,
    /// As many as a run keeps, unless given.
    pub kept: Option<usize>,
}

/// A network and what it is given.
pub struct Pass {
    model: WanTransformer,
    x: Tensor<5>,
    text: Context,
    image: Option<Context>,
    camera: Option<CameraContext>,
    rope: RopeTable,
    /// Blocks that compute their camera's scale and shift in every pass.
    pub camera_blocks: usize,
    /// Rows of pictures.
    pub image_rows: usize,
}

impl Pass {
    /// Of `model` at `length`, conditioned as its kind is: random text, pictures and camera.
    ///
    /// # Errors
    /// None, unless the network contradicts its own configuration.
    pub fn new(
        model: WanTransformer,
        length: &Length,
        camera: Camera,
        dtype: DType,
        device: &Device,
    ) -> Result<Self, ModelError> {
        let config = model.config().clone();
        let random = |shape: [usize; 3]| Tensor::<3>::random(shape, Distribution::Normal(0.0, 1.0), device);
        let [frames, rows, columns] = length.latent;
        let pictures = pictures(&config);
        let states = |count| random([count, PICTURE_ROWS, config.image_dim().unwrap_or_default()]);
        let kept = camera.kept.unwrap_or_else(|| affordable(&config, length.tokens, dtype));
        let control = config.control_width().filter(|_| !camera.off);
        let embed = |width| model.embed_camera(random([1, length.tokens, width]), kept);
        Ok(Self {
            x: random([config.in_dim * frames, rows, columns]).reshape([
                1,
                config.in_dim,
                frames,
                rows,
                columns,
            ]),
            text: model.embed_text(random([1, PROMPT_ROWS.min(config.text_len), config.text_dim])),
            image: pictures.map(|count| model.embed_image(states(count))).transpose()?,
            camera: control.map(embed).transpose()?,
            rope: model.rope(length.latent, device),
            camera_blocks: control.map_or(0, |_| config.layers.saturating_sub(kept)),
            image_rows: pictures.unwrap_or_default() * PICTURE_ROWS,
            model,
        })
    }

    /// What a run does before its first step: what the passes share and, on an adapter, their kernels.
    pub fn prepare(&self) {
        let Ok(()) = self.model.keep(self.conditions(), || Ok::<_, Infallible>(()));
        if DeviceCaps::of(&self.x.device()).kind == DeviceKind::Cube {
            drop(self.run_with(&self.model.of_first_block()));
        }
    }

    /// The predicted flow.
    pub fn run(&self) -> Tensor<5> {
        self.run_with(&self.model)
    }

    fn run_with(&self, model: &WanTransformer) -> Tensor<5> {
        model.forward(self.x.clone(), TIMESTEP, self.conditions(), &self.rope)
    }

    fn conditions(&self) -> Conditions<'_> {
        Conditions { texts: [&self.text], image: self.image.as_ref(), camera: self.camera.as_ref() }
    }

    /// The network, for another length.
    pub fn into_model(self) -> WanTransformer {
        self.model
    }
}

/// How many pictures the image branch reads, if there is one.
fn pictures(config: &WanConfig) -> Option<usize> {
    match config.kind {
        ModelKind::ClipI2v { .. } => Some(1),
        ModelKind::Flf2v { .. } => Some(2),
        _ => None,
    }
}

/// Blocks whose scale and shift fit what a run keeps.
fn affordable(config: &WanConfig, tokens: usize, dtype: DType) -> usize {
    (KEPT_BYTES / (2 * tokens * config.dim * dtype.size()).max(1)).min(config.layers)
}
