//! Width and height of a video, and its latents.

use wan_import::Checkpoint;
use wan_model::{Grid, LatentShape, ModelKind, SamplingDefaults, Strides, image::Picture};

use crate::{GenerateRequest, PipelineError};

/// Positions a rotary table is trained for, per axis.
const MAX_POSITION: usize = 1024;
/// Of one frame, in pixels, and the area that was asked for.
pub(crate) struct Extent {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) area: usize,
}

impl Extent {
    fn exact((width, height): (usize, usize)) -> Self {
        Self { width, height, area: width.saturating_mul(height) }
    }
}

/// Width and height.
fn size_for_image(checkpoint: &Checkpoint, rules: Grid, image: &Picture, area: usize) -> (usize, usize) {
    let (strides, sides) = (strides(checkpoint), (image.height(), image.width()));
    let (height, width) = match (rules, &checkpoint.dit_config.kind) {
        (Grid::Diffusers, _) => strides.size_for_area_rounded(sides.0, sides.1, area),
        (Grid::Official, ModelKind::Ti2v) => strides.size_covered_by(sides.0, sides.1, area),
        (Grid::Official, _) => strides.size_for_area(sides.0, sides.1, area),
    };
    (width, height)
}

impl GenerateRequest {
    /// The size asked for, or that of an area with the image's proportions, or the model's.
    pub(crate) fn extent(
        &self,
        checkpoint: &Checkpoint,
        rules: Grid,
        notes: &mut Vec<String>,
    ) -> Result<Extent, PipelineError> {
        let defaults = SamplingDefaults::of(&checkpoint.dit_config, None);
        let (height, width) = defaults.sizes.first().copied().unwrap_or((480, 832));
        let usual = checkpoint.generation.size().unwrap_or((width, height));
        let area = self.area.unwrap_or(usual.0.saturating_mul(usual.1));
        let (width, height) = match (self.size, self.area, &self.image) {
            (Some(size), ..) => return Ok(Extent::exact(size)),
            (None, Some(_), None) => return Err(PipelineError::AreaWithoutImage),
            (None, None, None) => return Ok(Extent::exact(usual)),
            (None, _, Some(image)) => size_for_image(checkpoint, rules, image, area),
        };
        notes.push(format!("{width}x{height}, from the image's proportions"));
        Ok(Extent { width, height, area })
    }
}

fn strides(checkpoint: &Checkpoint) -> Strides {
    let vae = &checkpoint.vae_config;
    let (temporal, spatial) = (vae.temporal_factor(), vae.spatial_factor());
    Strides { temporal, spatial, patch: checkpoint.dit_config.patch }
}

/// The latent shape of a video, refused where the model knows no positions for it.
pub(crate) fn latent(
    checkpoint: &Checkpoint,
    (width, height): (usize, usize),
    frames: usize,
) -> Result<LatentShape, PipelineError> {
    let (dit, vae) = (&checkpoint.dit_config, &checkpoint.vae_config);
    let latent = strides(checkpoint).latent(vae.z_dim, frames, height, width)?;
    let tokens = latent.token_grid(dit.patch).into_iter().max().unwrap_or(0);
    if tokens > MAX_POSITION {
        return Err(PipelineError::TooManyPositions { width, height, frames, tokens, limit: MAX_POSITION });
    }
    Ok(latent)
}
