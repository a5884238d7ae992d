//! Text, images, denoise, decode: one component in memory at a time.

use std::{sync::Arc, thread, time::Instant};

use burn::{prelude::*, tensor::DType};
use wan_import::{Checkpoint, Component};
use wan_model::{BlockWatch, Sampler, VaeDecoder, WanConfig, WanTransformer, text::PositionBuckets};

use crate::{
    CancelToken, Conditioning, DecoderStart, Denoise, Diagnosis, Event, Expert, FrameChunk, Health,
    HealthCheck, Kept, Pause, Phase, PipelineError, Placement, Plan, Stage, Start, State, Step,
    StepStatistics, Subject, camera, health::frames_health, state::Told,
};

/// What an observer of events may answer with to end a run.
pub type ObserverError = Box<dyn std::error::Error + Send + Sync>;

/// Where and in which precision a run computes, and who watches.
pub struct Engine<'a> {
    pub device: Device,
    pub placement: Placement,
    pub health: HealthCheck,
    /// For runs that follow one another; empty at first, and to be handed on. `None` frees everything in its turn.
    pub kept: Option<Kept>,
    pub cancel: CancelToken,
    pub observer: &'a mut dyn FnMut(Event<'_>) -> Result<(), ObserverError>,
}

/// Carries out `plan`; frames arrive at the observer as they are decoded.
pub fn generate(checkpoint: &Checkpoint, plan: &Plan, engine: &mut Engine<'_>) -> Result<(), PipelineError> {
    engine.check_dtype()?;
    let rows = engine.phase(Phase::Text, |engine| engine.encode(checkpoint, plan))?;
    checkpoint.text_encoder.release();
    engine.tell_text(&rows)?;
    let images = plan
        .images
        .as_ref()
        .map(|images| engine.phase(Phase::Image, |engine| engine.encode_images(checkpoint, plan, images)));
    let (states, latents) =
        images.transpose()?.map_or((None, None), |found| (found.states, Some(found.latents)));
    let sampler = Sampler::new(plan.solver, plan.schedule.clone());
    let denoise = Denoise::new(sampler, engine.starting_noise(plan), latents);
    engine.finish(checkpoint, plan, State { told: Told { rows, states }, denoise }, None)
}

/// Carries out the rest of `plan` from where an earlier run of it was [left](crate::Event::Pause). On the same device, in
/// the same precision and with the same weights the latents and frames have the bits of a run without a stop; frames
/// that were decoded before are not decoded again.
///
/// # Errors
/// [`PipelineError::Snapshot`] if `start` is of another run; otherwise as [`generate`].
pub fn resume(
    checkpoint: &Checkpoint,
    plan: &Plan,
    start: Start,
    engine: &mut Engine<'_>,
) -> Result<(), PipelineError> {
    engine.check_dtype()?;
    let state = start.snapshot.restore(plan, &engine.device)?;
    engine.tell_text(&state.told.rows)?;
    engine.finish(checkpoint, plan, state, start.decoder)
}

impl<'a> Engine<'a> {
    /// In f32, with all weights of a component on the device.
    pub fn new(
        device: Device,
        cancel: CancelToken,
        observer: &'a mut dyn FnMut(Event<'_>) -> Result<(), ObserverError>,
    ) -> Self {
        let (placement, health) = (Placement::default(), HealthCheck::default());
        Self { device, placement, health, kept: None, cancel, observer }
    }
}

impl Engine<'_> {
    fn check_dtype(&self) -> Result<(), PipelineError> {
        let dtype = DType::from(self.placement.dtype);
        if self.device.supports_dtype(dtype) {
            Ok(())
        } else {
            Err(PipelineError::DtypeUnavailable(dtype.name()))
        }
    }

    /// The rest of a run, whichever its state.
    fn finish(
        &mut self,
        checkpoint: &Checkpoint,
        plan: &Plan,
        mut state: State,
        decoder: Option<DecoderStart>,
    ) -> Result<(), PipelineError> {
        self.pause(Pause::Denoise(&state), false)?;
        let result = self.denoise(checkpoint, plan, &mut state);
        // Done or ended too early, whatever the reason, what there is can be kept.
        let kept = self.pause(Pause::Denoise(&state), true);
        match result {
            Ok(()) | Err(PipelineError::Cancelled) => kept.and(result)?,
            Err(error) => return Err(error),
        }
        let latents = state.denoise.into_latents();
        self.phase(Phase::Decode, |engine| engine.decode(checkpoint, plan, latents, decoder))
    }

    fn pause(&mut self, pause: Pause<'_>, last: bool) -> Result<(), PipelineError> {
        self.tell(Event::Pause { pause, last })
    }

    fn phase<T>(
        &mut self,
        phase: Phase,
        work: impl FnOnce(&mut Self) -> Result<T, PipelineError>,
    ) -> Result<T, PipelineError> {
        self.cancel.check()?;
        self.tell(Event::Started(phase))?;
        let start = Instant::now();
        let result = work(self)?;
        self.tell(Event::Finished { phase, seconds: start.elapsed().as_secs_f64() })?;
        Ok(result)
    }

    pub(crate) fn tell(&mut self, event: Event<'_>) -> Result<(), PipelineError> {
        (self.observer)(event).map_err(PipelineError::Observer)
    }

    /// Context rows `[1, n, text_dim]` of the prompt and, if the run is guided, of the negative prompt. The text
    /// encoder passes through memory one layer at a time, for both at once.
    fn encode(&mut self, checkpoint: &Checkpoint, plan: &Plan) -> Result<Vec<Tensor<3>>, PipelineError> {
        let prompts = plan.prompts();
        let Some(kept) = &mut self.kept else { return self.encode_texts(checkpoint, &prompts) };
        let missing = kept.next_prompts(&prompts);
        if !missing.is_empty() {
            let texts: Vec<_> = missing.iter().map(String::as_str).collect();
            let rows = self.encode_texts(checkpoint, &texts)?;
            self.kept.get_or_insert_default().put_rows(missing, rows);
        }
        self.kept.as_ref().and_then(|kept| kept.rows(&prompts)).ok_or(PipelineError::NoPrompt)
    }

    fn encode_texts(
        &mut self,
        checkpoint: &Checkpoint,
        prompts: &[&str],
    ) -> Result<Vec<Tensor<3>>, PipelineError> {
        let mut rows = self.token_rows(checkpoint, prompts)?;
        let device = self.device.clone();
        let layers = checkpoint.text_layers(&device)?;
        let buckets = |x: &Tensor<3>| PositionBuckets::new(x.dims()[1], layers.config(), &device);
        let positions: Vec<_> = rows.iter().map(buckets).collect();
        for index in 0..layers.config().layers {
            self.cancel.check()?;
            let block = layers.block(index)?;
            rows = rows.into_iter().zip(&positions).map(|(x, at)| block.forward(x, at)).collect();
            drop(block);
            layers.release(index);
            self.tell(Event::Encoded { done: index + 1, total: layers.config().layers })?;
        }
        let norm = layers.norm()?;
        Ok(rows.into_iter().map(|x| norm.forward(x)).collect())
    }

    /// Embedded tokens `[1, n, d]` of each prompt, gathered on the host.
    fn token_rows(&self, checkpoint: &Checkpoint, prompts: &[&str]) -> Result<Vec<Tensor<3>>, PipelineError> {
        let (tokenizer, table) = (checkpoint.load_tokenizer()?, checkpoint.text_encoder.token_table()?);
        let text_len = checkpoint.dit_config.text_len;
        let embed = |prompt: &&str| {
            let ids = tokenizer.encode(prompt, text_len)?;
            let data = TensorData::new(table.rows(&ids)?, [1, ids.len(), table.width()]);
            Ok(Tensor::from_data(data, &self.device))
        };
        prompts.iter().map(embed).collect()
    }

    fn tell_text(&mut self, rows: &[Tensor<3>]) -> Result<(), PipelineError> {
        let width = rows.first().map_or(0, |x| x.dims()[2]);
        let values: Vec<_> = rows.iter().map(host_values).collect();
        let at = |index: usize| values.get(index).map(Vec::as_slice);
        self.tell(Event::Text { context: at(0).unwrap_or_default(), context_null: at(1), width })
    }

    /// One expert after the other, each gone before the next is loaded unless both are kept.
    fn denoise(
        &mut self,
        checkpoint: &Checkpoint,
        plan: &Plan,
        state: &mut State,
    ) -> Result<(), PipelineError> {
        let (stages, mut first) = (plan.stages(), true);
        for (stage, next) in stages.iter().zip(stages.iter().skip(1).map(Some).chain([None])) {
            if stage.steps.end <= state.step() {
                continue;
            }
            let told = &state.told;
            let expert =
                self.phase(Phase::Load, |engine| engine.load_expert(checkpoint, plan, told, stage.high))?;
            let first = std::mem::take(&mut first);
            let prepared = self.phase(Phase::Prepare, |engine| engine.prepare(state, &expert, first));
            let next = next.filter(|next| !self.holds(next.high)).map(|next| checkpoint.expert(next.high));
            let steps = |engine: &mut Self| engine.run(plan, state, &expert, (stage, next));
            let result = prepared.and_then(|()| self.phase(Phase::Denoise, steps));
            self.leave(checkpoint, expert, stage.high);
            result?;
        }
        Ok(())
    }

    fn load_expert(
        &mut self,
        checkpoint: &Checkpoint,
        plan: &Plan,
        told: &Told,
        high: bool,
    ) -> Result<Expert, PipelineError> {
        let kept = self.kept.as_mut().and_then(|kept| kept.take_transformer(high, &self.placement));
        let transformer = match kept {
            Some(transformer) => transformer,
            None => self.load_transformer(checkpoint, high)?,
        };
        let mut rows = told.rows.iter().map(|rows| transformer.embed_text(rows.clone()));
        let context = rows.next().ok_or(PipelineError::NoPrompt)?;
        let scale = plan.guidance.of(high);
        let negative = rows.next().filter(|_| scale != 1.0).map(|negative| (negative, scale));
        let image = told.states.as_ref().map(|states| transformer.embed_image(states.clone())).transpose()?;
        let embed =
            |path| camera::embed(&transformer, plan, path, self.placement.camera_blocks, &self.device);
        let camera = plan.camera.as_ref().map(embed).transpose()?;
        let [_, _, frames, rows, columns] = plan.latent.dims();
        let conditioning = Conditioning { context, negative, image, camera };
        Ok(Expert::new(transformer, conditioning, [frames, rows, columns], &self.device))
    }

    fn load_transformer(
        &mut self,
        checkpoint: &Checkpoint,
        high: bool,
    ) -> Result<WanTransformer, PipelineError> {
        if self.kept.is_some() && !self.holds(!high) {
            // The other one may have been there.
            self.free(checkpoint, !high);
        }
        let half_scales = self.device.supports_dtype(DType::F16);
        let start = Instant::now();
        let policy = self.placement.policy(half_scales);
        let component = checkpoint.expert(high);
        let watch = || stream_pages(component, &checkpoint.dit_config);
        let transformer = match (self.placement.stream_blocks, self.device == Device::flex()) {
            (false, _) => checkpoint.load_expert(high, &policy, &self.device)?,
            (true, true) => checkpoint.load_expert(high, &policy, &self.device)?.watched_by(watch()?),
            (true, false) => {
                let on_host = checkpoint.load_expert(high, &policy, &Device::flex())?;
                on_host.with_blocks_streamed_to(&self.device).watched_by(watch()?)
            }
        };
        let (bytes, seconds) = (component.bytes(), start.elapsed().as_secs_f64());
        self.tell(Event::Loaded { bytes, seconds })?;
        Ok(transformer)
    }

    /// Whether the expert is loaded already.
    fn holds(&self, high: bool) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.holds(high))
    }

    /// Keeps an expert for the next stage or run, or frees it.
    fn leave(&mut self, checkpoint: &Checkpoint, expert: Expert, high: bool) {
        match &mut self.kept {
            Some(kept) => kept.put_transformer(high, &self.placement, expert.into_transformer()),
            None => {
                drop(expert);
                self.free(checkpoint, high);
            }
        }
    }

    /// After a transformer is gone.
    fn free(&self, checkpoint: &Checkpoint, high: bool) {
        checkpoint.expert(high).release();
        self.device.memory_cleanup();
    }

    /// The steps of one stage. During its last one the weights of the `next` expert are brought into memory.
    fn run(
        &mut self,
        plan: &Plan,
        state: &mut State,
        expert: &Expert,
        (stage, next): (&Stage, Option<&Component>),
    ) -> Result<(), PipelineError> {
        let (cancel, noise) = (self.cancel.clone(), plan.noise_rms());
        let mut start = Instant::now();
        while state.step() < stage.steps.end {
            if let Some(next) = next.filter(|_| state.step() + 1 == stage.steps.end) {
                let next = next.clone();
                thread::spawn(move || next.read_ahead());
            }
            let before = state.denoise.clone();
            let Some(step) = state.denoise.step(expert, &cancel)? else { return Ok(()) };
            if let Err(error) = self.examine(&step, noise) {
                state.denoise = before;
                return Err(error);
            }
            self.tell(Event::Step { step: &step, seconds: start.elapsed().as_secs_f64() })?;
            self.pause(Pause::Denoise(state), false)?;
            start = Instant::now();
        }
        Ok(())
    }

    /// Also waits for the step's work on the device to end.
    fn examine(&mut self, step: &Step, noise: f64) -> Result<(), PipelineError> {
        let found = match self.health {
            HealthCheck::Off => {
                // A device that fails says so at the next readback too.
                let _ = self.device.sync();
                None
            }
            _ => StepStatistics::of(step).health(step, noise),
        };
        let Some((subject, health, evidence)) = found else { return Ok(()) };
        let (step, total, dtype) = (step.index + 1, step.total, DType::from(self.placement.dtype).name());
        self.unwell(Diagnosis { health, subject, phase: Phase::Denoise, step, total, evidence, dtype }, true)
    }

    /// Stops, if the run is to be stopped by what is found at all, or tells it.
    fn unwell(&mut self, diagnosis: Diagnosis, stops: bool) -> Result<(), PipelineError> {
        match self.health {
            HealthCheck::Stop if stops => Err(PipelineError::Unwell(diagnosis)),
            _ => self.tell(Event::Unwell(&diagnosis)),
        }
    }

    fn starting_noise(&self, plan: &Plan) -> Tensor<5> {
        let data = TensorData::new(plan.noise(), plan.latent.dims());
        Tensor::from_data(data, &self.device)
    }

    fn decoder(&mut self, checkpoint: &Checkpoint) -> Result<VaeDecoder, PipelineError> {
        if let Some(decoder) = self.kept.as_ref().and_then(Kept::decoder) {
            return Ok(decoder);
        }
        let decoder = checkpoint.load_vae_decoder(&self.device)?;
        if let Some(kept) = &mut self.kept {
            kept.put_decoder(&decoder);
        }
        Ok(decoder)
    }

    fn decode(
        &mut self,
        checkpoint: &Checkpoint,
        plan: &Plan,
        latents: Tensor<5>,
        start: Option<DecoderStart>,
    ) -> Result<(), PipelineError> {
        if self.kept.as_mut().is_some_and(Kept::make_room_to_decode) {
            [false, true].into_iter().for_each(|high| self.free(checkpoint, high));
        }
        let decoder = self.decoder(checkpoint)?.with_memory(self.placement.vae_memory);
        let mut stream = match start {
            Some(start) => start.restore(&decoder, latents)?,
            None => decoder.stream(latents),
        };
        loop {
            if self.cancel.is_cancelled() {
                self.pause(Pause::Decode(&stream), true)?;
                return Err(PipelineError::Cancelled);
            }
            let Some(video) = stream.next() else { return Ok(()) };
            let chunk = FrameChunk::new(video, plan.rounding);
            self.examine_frames(&chunk, stream.frame(), plan.latent.frames)?;
            self.tell(Event::Frames(chunk))?;
            self.pause(Pause::Decode(&stream), false)?;
        }
    }

    /// The frames of latent frame `step`, from 1. A video may fade to one colour, but hardly begins with one.
    fn examine_frames(&mut self, chunk: &FrameChunk, step: usize, total: usize) -> Result<(), PipelineError> {
        let found = if self.health == HealthCheck::Off { None } else { frames_health(chunk) };
        let Some((health, evidence)) = found else { return Ok(()) };
        let dtype = if self.placement.vae_memory.half { "f16" } else { "f32" };
        let (subject, phase) = (Subject::Frames, Phase::Decode);
        let stops = step == 1 || health == Health::NonFinite;
        self.unwell(Diagnosis { health, subject, phase, step, total, evidence, dtype }, stops)
    }
}

/// For a transformer of `config` whose blocks are read out of the file of `component` in every pass: lets a block's pages
/// go when a pass has left it, and has those of the next one read meanwhile.
///
/// # Errors
/// [`PipelineError::Import`] if the file is not that of such a transformer.
pub fn stream_pages(component: &Component, config: &WanConfig) -> Result<BlockWatch, PipelineError> {
    let pages = Arc::new(component.block_pages(config)?);
    Ok(BlockWatch(Arc::new(move |index| {
        pages.release(index + pages.count() - 1);
        let pages = pages.clone();
        thread::spawn(move || pages.read_ahead(index + 1));
    })))
}

pub(crate) fn host_values<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    // A float tensor converted to f32 has f32 values.
    tensor.to_data().convert::<f32>().try_into_vec().unwrap_or_default()
}
