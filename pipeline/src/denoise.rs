//! The sampling loop, one step at a time.

use burn::prelude::*;
use wan_kernels::RopeTable;
use wan_model::{CameraContext, Conditions, Context, Grid, Sampler, Timestep, WanTransformer, guide};

use crate::{CancelToken, PipelineError};

/// What steers the flow besides time, embedded by the transformer that it steers.
#[derive(Clone)]
pub struct Conditioning {
    /// Of the prompt.
    pub context: Context,
    /// Of the negative prompt, and the guidance scale; `None` runs one forward pass per step.
    pub negative: Option<(Context, f64)>,
    /// Of the pictures.
    pub image: Option<Context>,
    pub camera: Option<CameraContext>,
}

/// A loaded transformer and what steers it.
pub struct Expert {
    transformer: WanTransformer,
    conditioning: Conditioning,
    rope: RopeTable,
}

impl Expert {
    /// For latents of `[frames, rows, columns]`.
    pub fn new(
        transformer: WanTransformer,
        conditioning: Conditioning,
        latent: [usize; 3],
        device: &Device,
    ) -> Self {
        let rope = transformer.rope(latent, device);
        Self { transformer, conditioning, rope }
    }

    /// Makes what stays the same in all steps, so that the first one takes no longer for it. Nothing waits for the
    /// device.
    ///
    /// # Errors
    /// [`PipelineError::Cancelled`].
    pub fn keep(&self, cancel: &CancelToken) -> Result<(), PipelineError> {
        let Conditioning { context, negative, .. } = &self.conditioning;
        let go_on = || cancel.check();
        match negative {
            Some((negative, _)) => self.transformer.keep(self.conditions([context, negative]), go_on),
            None => self.transformer.keep(self.conditions([context]), go_on),
        }
    }

    /// The same with a transformer of one block: what it predicts means nothing, but takes every kernel that a step does.
    pub fn of_first_block(&self) -> Self {
        let transformer = self.transformer.of_first_block();
        Self { transformer, conditioning: self.conditioning.clone(), rope: self.rope.clone() }
    }

    pub fn into_transformer(self) -> WanTransformer {
        self.transformer
    }

    /// The guided flow of `x`: both prompts pass through the blocks together.
    fn flow(
        &self,
        x: &Tensor<5>,
        timestep: Timestep,
        cancel: &CancelToken,
    ) -> Result<Tensor<5>, PipelineError> {
        let Conditioning { context, negative, .. } = &self.conditioning;
        match negative {
            Some((negative, scale)) => {
                let [conditional, unconditional] = self.flows(x, timestep, [context, negative], cancel)?;
                Ok(guide(conditional, unconditional, *scale))
            }
            None => {
                let [conditional] = self.flows(x, timestep, [context], cancel)?;
                Ok(conditional)
            }
        }
    }

    /// The flow of `x` with each of `texts`.
    fn flows<const N: usize>(
        &self,
        x: &Tensor<5>,
        timestep: Timestep,
        texts: [&Context; N],
        cancel: &CancelToken,
    ) -> Result<[Tensor<5>; N], PipelineError> {
        let conditions = self.conditions(texts);
        self.transformer.forward_each(x.clone(), timestep, conditions, &self.rope, || cancel.check())
    }

    fn conditions<'a, const N: usize>(&'a self, texts: [&'a Context; N]) -> Conditions<'a, N> {
        let Conditioning { image, camera, .. } = &self.conditioning;
        Conditions { texts, image: image.as_ref(), camera: camera.as_ref() }
    }
}

/// What the latents know of given pictures.
#[derive(Clone)]
pub enum ImageLatents {
    /// Channels beside the noise, `[1, condition channels, frames, rows, columns]`: which frames are given, and a video
    /// of them.
    Beside(Tensor<5>),
    /// The first frame itself, `[1, c, 1, rows, columns]`, without noise and at a timestep of 0.
    FirstFrame {
        latents: Tensor<5>,
        /// The official code puts it back after every step; diffusers into every input of the network and at the end.
        rules: Grid,
    },
}

/// The state after one step.
pub struct Step {
    /// From 0.
    pub index: usize,
    pub total: usize,
    /// The noise level the step started from, and the timestep the network was given.
    pub sigma: f64,
    /// The noise level of `latents`.
    pub next_sigma: f64,
    pub timestep: f64,
    /// `[1, c, frames, rows, columns]` f32, normalised.
    pub latents: Tensor<5>,
    /// The network's output, guidance included; shaped as the latents.
    pub flow: Tensor<5>,
}

/// Latents on their way from noise to a video.
#[derive(Clone)]
pub struct Denoise {
    sampler: Sampler,
    latents: Tensor<5>,
    image: Option<ImageLatents>,
    index: usize,
}

impl Denoise {
    /// Starts from `noise`, `[1, c, frames, rows, columns]` f32.
    pub fn new(sampler: Sampler, noise: Tensor<5>, image: Option<ImageLatents>) -> Self {
        let mut state = Self { sampler, latents: noise, image, index: 0 };
        state.put_back(Grid::Official);
        state
    }

    /// After the steps that `sampler` has done, with the `latents` they gave.
    pub fn resume(sampler: Sampler, latents: Tensor<5>, image: Option<ImageLatents>) -> Self {
        let index = sampler.steps_done();
        Self { sampler, latents: contiguous(latents), image, index }
    }

    /// What [`Self::resume`] takes.
    pub fn sampler(&self) -> &Sampler {
        &self.sampler
    }

    pub fn latents(&self) -> &Tensor<5> {
        &self.latents
    }

    pub fn image(&self) -> Option<&ImageLatents> {
        self.image.as_ref()
    }

    /// The index of the next step, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    pub fn into_latents(self) -> Tensor<5> {
        self.latents
    }

    /// The next step with `expert`'s flow; `None` after the last.
    ///
    /// # Errors
    /// [`PipelineError::Cancelled`]; the state stays as it was.
    pub fn step(&mut self, expert: &Expert, cancel: &CancelToken) -> Result<Option<Step>, PipelineError> {
        let (index, schedule) = (self.index, self.sampler.schedule());
        let total = schedule.timesteps.len();
        let Some(&timestep) = schedule.timesteps.get(index) else { return Ok(None) };
        let (sigma, next_sigma) = (schedule.sigmas[index], schedule.sigmas[index + 1]);
        let flow = expert.flow(&self.input(), self.timestep(timestep), cancel)?;
        self.latents = contiguous(self.sampler.step(flow.clone(), self.latents.clone()));
        self.put_back(Grid::Official);
        if index + 1 == total {
            self.put_back(Grid::Diffusers);
        }
        self.index += 1;
        Ok(Some(Step { index, total, sigma, next_sigma, timestep, latents: self.latents.clone(), flow }))
    }

    /// What the network sees.
    fn input(&self) -> Tensor<5> {
        match &self.image {
            None => self.latents.clone(),
            Some(ImageLatents::Beside(channels)) => {
                Tensor::cat(vec![self.latents.clone(), channels.clone()], 1)
            }
            Some(ImageLatents::FirstFrame { latents, .. }) => with_first(latents, &self.latents),
        }
    }

    fn timestep(&self, timestep: f64) -> Timestep {
        match &self.image {
            Some(ImageLatents::FirstFrame { .. }) => Timestep::FirstFrame { first: 0.0, rest: timestep },
            _ => Timestep::All(timestep),
        }
    }

    /// Puts a given first frame back into the latents if it is treated by these `rules`.
    fn put_back(&mut self, rules: Grid) {
        match &self.image {
            Some(ImageLatents::FirstFrame { latents, rules: own }) if *own == rules => {
                self.latents = with_first(latents, &self.latents);
            }
            _ => {}
        }
    }
}

/// `latents` with their first frame replaced.
fn with_first(first: &Tensor<5>, latents: &Tensor<5>) -> Tensor<5> {
    match latents.dims()[2] {
        1 => first.clone(),
        frames => Tensor::cat(vec![first.clone(), latents.clone().slice_dim(2, 1..frames)], 2),
    }
}

/// In row-major order: kernels may sum in another order over other layouts, and latents that come from the host have this
/// one.
fn contiguous(latents: Tensor<5>) -> Tensor<5> {
    let dims = latents.dims();
    let flat: Tensor<1> = latents.reshape([dims.iter().product::<usize>()]);
    flat.reshape(dims)
}
