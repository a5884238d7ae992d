//! The sampling loop as an iterator.

use burn::prelude::*;
use wan_kernels::RopeTable;
use wan_model::{Sampler, WanTransformer, guide};

use crate::{CancelToken, PipelineError};

/// What steers the flow besides time: embedded text rows, and those of the negative prompt with its scale.
pub struct Conditioning {
    /// `[1, text_len, d]`.
    pub context: Tensor<3>,
    /// The negative prompt's rows and the guidance scale; `None` runs one forward pass per step.
    pub negative: Option<(Tensor<3>, f64)>,
}

impl Conditioning {
    /// From the text encoder's rows `[1, n, text_dim]` of the prompt and, if guided, of the negative prompt.
    pub fn new(transformer: &WanTransformer, rows: Vec<Tensor<3>>, guidance: f64) -> Option<Self> {
        let mut embedded = rows.into_iter().map(|rows| transformer.embed_text(rows));
        let context = embedded.next()?;
        Some(Self { context, negative: embedded.next().map(|negative| (negative, guidance)) })
    }
}

/// The state after one step.
pub struct Step {
    /// From 0.
    pub index: usize,
    pub total: usize,
    /// The noise level the step started from, and the timestep the network was given.
    pub sigma: f64,
    pub timestep: f64,
    /// `[1, c, frames, rows, columns]` f32, normalised.
    pub latents: Tensor<5>,
}

/// Denoises latents step by step; ends after the last step or with the first error.
pub struct Denoise<'a> {
    transformer: &'a WanTransformer,
    conditioning: &'a Conditioning,
    cancel: &'a CancelToken,
    rope: RopeTable,
    sampler: Sampler,
    latents: Tensor<5>,
    index: usize,
}

impl<'a> Denoise<'a> {
    /// Starts from `noise`, `[1, c, frames, rows, columns]` f32.
    pub fn new(
        transformer: &'a WanTransformer,
        conditioning: &'a Conditioning,
        sampler: Sampler,
        noise: Tensor<5>,
        cancel: &'a CancelToken,
    ) -> Self {
        let [_, _, frames, rows, columns] = noise.dims();
        let rope = transformer.rope([frames, rows, columns], &noise.device());
        Self { transformer, conditioning, cancel, rope, sampler, latents: noise, index: 0 }
    }

    fn step(&mut self, timestep: f64) -> Result<(), PipelineError> {
        let flow = self.flow(timestep)?;
        self.latents = self.sampler.step(flow, self.latents.clone());
        Ok(())
    }

    /// The guided flow: prompt first, then negative prompt.
    fn flow(&self, timestep: f64) -> Result<Tensor<5>, PipelineError> {
        let forward = |context: &Tensor<3>| {
            self.cancel.check()?;
            Ok::<_, PipelineError>(self.transformer.forward(
                self.latents.clone(),
                timestep,
                context,
                &self.rope,
            ))
        };
        let conditional = forward(&self.conditioning.context)?;
        match &self.conditioning.negative {
            Some((negative, scale)) => Ok(guide(conditional, forward(negative)?, *scale)),
            None => Ok(conditional),
        }
    }
}

impl Iterator for Denoise<'_> {
    type Item = Result<Step, PipelineError>;

    fn next(&mut self) -> Option<Self::Item> {
        let schedule = self.sampler.schedule();
        let total = schedule.timesteps.len();
        let (sigma, timestep) = (schedule.sigmas[self.index], *schedule.timesteps.get(self.index)?);
        let index = self.index;
        self.index = total;
        if let Err(error) = self.step(timestep) {
            return Some(Err(error));
        }
        self.index = index + 1;
        Some(Ok(Step { index, total, sigma, timestep, latents: self.latents.clone() }))
    }
}
