//! What a run's video will look like, before it is done.

use burn::prelude::*;
use wan_import::Checkpoint;
use wan_model::LatentColours;

use crate::{PipelineError, Step, phases::host_values};

/// The colours of a checkpoint's latents, fitted to its autoencoder on `device`. Takes as long as encoding a few small
/// clips.
///
/// # Errors
/// Those of loading the encoder.
pub fn latent_colours(checkpoint: &Checkpoint, device: &Device) -> Result<LatentColours, PipelineError> {
    let encoder = checkpoint.load_vae_encoder(device)?;
    let vae = &checkpoint.vae_config;
    let fitted = LatentColours::fit(&encoder, [vae.temporal_factor(), vae.spatial_factor()], device);
    checkpoint.vae.release();
    Ok(fitted)
}

/// A small video: one frame for a latent frame, one pixel for a latent position.
#[derive(Clone, Debug, PartialEq)]
pub struct Preview {
    pub frames: usize,
    pub height: usize,
    pub width: usize,
    /// `[frames, height, width]` of red, green and blue in 0..1.
    pub colours: Vec<[f32; 3]>,
}

impl Step {
    /// The clean latents that the step's flow points to: what would be left of `latents` without their noise.
    ///
    /// # Shapes
    /// - output: as `latents`, `[1, c, frames, rows, columns]`
    pub fn clean(&self) -> Tensor<5> {
        self.latents.clone() - self.flow.clone() * self.next_sigma
    }

    /// [`Self::clean`] in colours; `None` for those of another autoencoder.
    pub fn preview(&self, colours: &LatentColours) -> Option<Preview> {
        let clean = self.clean();
        let [_, channels, frames, height, width] = clean.dims();
        let colours =
            (channels == colours.channels()).then(|| colours.colours(&host_values(&clean), frames))?;
        Some(Preview { frames, height, width, colours })
    }
}
