//! From the pictures of a request to what the transformer is told of them.

use burn::{prelude::*, tensor::FloatDType};
use wan_import::{Checkpoint, DtypePolicy};
use wan_model::{
    Grid, ModelKind,
    image::{Filter, Picture, Planes, clip_planes, clip_planes_diffusers, condition_mask},
};

use crate::{Engine, Event, ImageLatents, Images, PipelineError, Plan};

/// What pictures become.
pub(crate) struct ImageConditions {
    /// CLIP's token states `[pictures, tokens, width]`, where the transformer has a branch for them.
    pub(crate) states: Option<Tensor<3>>,
    pub(crate) latents: ImageLatents,
}

impl Engine<'_> {
    /// Encodes the plan's pictures with CLIP, if the checkpoint has it, and with the autoencoder.
    pub(crate) fn encode_images(
        &mut self,
        checkpoint: &Checkpoint,
        plan: &Plan,
        images: &Images,
    ) -> Result<ImageConditions, PipelineError> {
        let states = self.clip_states(checkpoint, plan, images)?;
        let first_frame = checkpoint.dit_config.kind == ModelKind::Ti2v;
        // A model that takes the first frame itself needs no more than that encoded.
        let frames = if first_frame { 1 } else { plan.latent.frames };
        let encoded = self.encode_stills(checkpoint, plan, images, frames)?;
        let latents = if first_frame {
            ImageLatents::FirstFrame { latents: encoded, rules: plan.rules }
        } else {
            let temporal = checkpoint.vae_config.temporal_factor();
            let mask = condition_mask(&plan.latent, temporal, images.last.is_some(), &self.device);
            ImageLatents::Beside(Tensor::cat(vec![mask, encoded], 1))
        };
        Ok(ImageConditions { states, latents })
    }

    fn clip_states(
        &self,
        checkpoint: &Checkpoint,
        plan: &Plan,
        images: &Images,
    ) -> Result<Option<Tensor<3>>, PipelineError> {
        let found = checkpoint.image_encoder.as_ref().zip(checkpoint.clip_config.as_ref());
        let Some((component, config)) = found else { return Ok(None) };
        let encoder = checkpoint.load_clip_vision(&DtypePolicy::float(FloatDType::F32), &self.device)?;
        let pictures = std::iter::once(&images.first).chain(&images.last);
        let planes = pictures.map(|picture| {
            let planes = match plan.rules {
                Grid::Official => clip_planes(&picture.planes(), config.image_size),
                Grid::Diffusers => clip_planes_diffusers(picture, config.image_size),
            };
            Ok(planes?.tensor(&self.device))
        });
        let pictures = planes.collect::<Result<Vec<_>, PipelineError>>()?;
        let states = encoder.forward(Tensor::cat(pictures, 0));
        component.release();
        Ok(Some(states))
    }

    /// The latents of a video that begins, and may end, with the pictures and is grey between.
    fn encode_stills(
        &mut self,
        checkpoint: &Checkpoint,
        plan: &Plan,
        images: &Images,
        frames: usize,
    ) -> Result<Tensor<5>, PipelineError> {
        let frame = |picture| self.frame(checkpoint, plan, picture);
        let (first, last) = (frame(&images.first)?, images.last.as_ref().map(frame).transpose()?);
        let encoder = checkpoint.load_vae_encoder(&self.device)?.with_memory(self.placement.vae_memory);
        let mut latents = Vec::with_capacity(frames);
        for latent in encoder.encode_stills(first, last, frames) {
            latents.push(latent);
            self.cancel.check()?;
            self.tell(Event::Encoded { done: latents.len(), total: frames })?;
        }
        Ok(Tensor::cat(latents, 2))
    }

    /// A picture at the video's size, `[1, 3, 1, height, width]` from -1 to 1.
    fn frame(
        &self,
        checkpoint: &Checkpoint,
        plan: &Plan,
        picture: &Picture,
    ) -> Result<Tensor<5>, PipelineError> {
        let (height, width) = (plan.height, plan.width);
        let planes: Planes = match (plan.rules, &checkpoint.dit_config.kind) {
            (Grid::Diffusers, _) => picture.resized(height, width, Filter::Lanczos)?.planes(),
            (Grid::Official, ModelKind::Ti2v) => picture.covering(height, width)?.planes(),
            (Grid::Official, _) => picture.planes().resized(height, width)?,
        };
        Ok(planes.tensor(&self.device).unsqueeze_dim(2))
    }
}
