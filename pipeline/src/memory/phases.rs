//! The bytes of each phase.

use wan_import::{Checkpoint, WeightBytes};
use wan_kernels::{DeviceKind, attention_workspace, conv3d_workspace};
use wan_model::{ModelKind, PassShape, VaeBytes};

use super::{Bytes, Machine, MemoryPlan, Part, PhaseBytes, Placement};
use crate::{Phase, PipelineError, Plan};

/// Bytes of an f32.
const SINGLE: u64 = size_of::<f32>() as u64;
/// Latents alive at a time: the state, what the solver remembers, the network's input and both its answers.
const LATENTS: u64 = 5;
/// Held for a value of a frame on its way to a file: as decoded, in rows, as a vector, in bytes, and by the encoder.
const FRAME_BYTES: u64 = 18;
/// Letters of English text for each token, fewer than which there rarely are.
const LETTERS_PER_TOKEN: usize = 3;
/// What the process takes on the host before it computes anything: threads and their heaps.
const HOST_OVERHEAD: u64 = 8 << 20;
/// And of its code, pages of which are read as they are used.
const CODE: u64 = 36 << 20;
/// What an adapter's driver and the compiled kernels take on the host besides.
const DRIVER_OVERHEAD: u64 = 160 << 20;
/// The host's allocator keeps what was freed in blocks smaller than this, pieces of which lie idle between others.
const KEPT_BLOCKS: u64 = 32 << 20;
/// Bytes of a tokenizer in memory for each byte of its file.
const TOKENIZER_FACTOR: u64 = 12;

/// What is added up for which run.
pub(super) struct Budget<'a> {
    pub checkpoint: &'a Checkpoint,
    pub plan: &'a Plan,
    pub placement: &'a Placement,
    pub machine: &'a Machine,
}

/// Weights of a network, added up.
#[derive(Clone, Copy, Default)]
struct Sum {
    bytes: u64,
    mapped: u64,
    /// Of the largest parameter while it is made.
    passing: u64,
    /// Of the largest parameter.
    largest: u64,
}

impl Sum {
    fn of<'a>(weights: impl IntoIterator<Item = &'a WeightBytes>) -> Self {
        weights.into_iter().fold(Self::default(), |sum, weight| Self {
            bytes: sum.bytes + weight.bytes,
            mapped: sum.mapped + weight.mapped,
            passing: sum.passing.max(weight.passing),
            largest: sum.largest.max(weight.bytes),
        })
    }

    fn on_host(self) -> Bytes {
        Bytes { host: self.bytes - self.mapped, mapped: self.mapped, device: 0 }
    }
}

impl Budget<'_> {
    pub fn add_up(&self) -> Result<MemoryPlan, PipelineError> {
        let mut phases = vec![self.text()?];
        if self.plan.images.is_some() {
            phases.push(self.image()?);
        }
        let experts = self.experts();
        let loads = experts.iter().map(|&high| self.load(high)).collect::<Result<Vec<_>, _>>()?;
        let runs = experts.iter().map(|&high| self.denoise(high)).collect::<Result<Vec<_>, _>>()?;
        let most = |phases: Vec<PhaseBytes>| {
            phases.into_iter().max_by_key(|phase| phase.total().resident() + phase.total().device)
        };
        phases.extend(most(loads));
        phases.extend(most(runs));
        phases.push(self.decode()?);
        Ok(MemoryPlan { phases, overhead: self.overhead() })
    }

    fn overhead(&self) -> Bytes {
        let driver = if self.on_adapter() { DRIVER_OVERHEAD } else { 0 };
        Bytes { host: HOST_OVERHEAD + driver, mapped: CODE, device: 0 }
    }

    fn on_adapter(&self) -> bool {
        self.machine.kind == DeviceKind::Cube
    }

    /// `bytes` where the networks work.
    fn at_work(&self, bytes: u64) -> Bytes {
        if self.on_adapter() {
            Bytes { device: bytes, ..Bytes::default() }
        } else {
            Bytes { host: bytes, ..Bytes::default() }
        }
    }

    /// With tensors of `bytes` at a time that come and go where the networks work.
    fn working(&self, phase: PhaseBytes, bytes: u64) -> PhaseBytes {
        let idle = if self.on_adapter() { 0 } else { (2 * bytes / 5).min(KEPT_BLOCKS) };
        phase.with(Part::Activations, self.at_work(bytes)).with(Part::Idle, self.at_work(idle))
    }

    /// Of each transformer of the run in its place.
    pub fn transformers(&self) -> Result<Vec<Bytes>, PipelineError> {
        self.experts().iter().map(|&high| Ok(self.transformer(&self.expert(high)?))).collect()
    }

    /// Of high or low noise.
    fn experts(&self) -> Vec<bool> {
        let mut experts: Vec<bool> = self.plan.stages().iter().map(|stage| stage.high).collect();
        experts.dedup();
        experts
    }

    /// Of a network where it works. Only the fast path of the host reads weights out of their file.
    fn weights(&self, sum: Sum) -> Bytes {
        match self.machine.kind {
            DeviceKind::Flex => sum.on_host(),
            _ => self.at_work(sum.bytes),
        }
    }

    /// The largest parameter of a network on its way there.
    fn loading(&self, sum: Sum) -> Bytes {
        // Of the file, and on its way to the adapter.
        let staged = if self.on_adapter() { 2 * sum.largest } else { 0 };
        Bytes { host: sum.passing + staged, ..Bytes::default() }
    }

    /// Layer by layer, at the length of the texts.
    fn text(&self) -> Result<PhaseBytes, PipelineError> {
        let layers = self.checkpoint.text_weights()?;
        let sums: Vec<Sum> = layers.iter().map(Sum::of).collect();
        let largest = sums.iter().copied().max_by_key(|sum| sum.bytes).unwrap_or_default();
        let config = &self.checkpoint.text_config;
        let rows = self.text_rows();
        let held: usize = rows.iter().sum();
        let activations = rows.iter().map(|&rows| config.layer_bytes(rows)).max().unwrap_or(0);
        let stream = (held * config.d_model) as u64 * SINGLE;
        let tokenizer = self.checkpoint.tokenizer_bytes() * TOKENIZER_FACTOR;
        let phase = PhaseBytes::new(Phase::Text)
            .with(Part::Weights, self.weights(largest))
            .with(Part::Loading, self.loading(largest) + Bytes { host: tokenizer, ..Bytes::default() })
            .with(Part::Conditions, self.at_work(stream));
        Ok(self.working(phase, activations))
    }

    /// Rows of each text, by its letters; all there may be for a prompt that is not known.
    fn text_rows(&self) -> Vec<usize> {
        let most = self.checkpoint.dit_config.text_len;
        let rows = |text: &str| {
            let plain = text.chars().filter(char::is_ascii).count();
            ((plain / LETTERS_PER_TOKEN) + (text.chars().count() - plain) + 1).min(most)
        };
        let prompt = if self.plan.prompt.is_empty() { most } else { rows(&self.plan.prompt) };
        let negative = self.plan.guided().then(|| rows(&self.plan.negative));
        [prompt].into_iter().chain(negative).collect()
    }

    /// CLIP, then the autoencoder's encoder.
    fn image(&self) -> Result<PhaseBytes, PipelineError> {
        let clip = Sum::of(&self.checkpoint.clip_weights()?);
        let seen = self
            .checkpoint
            .clip_config
            .as_ref()
            .map_or(0, |config| self.pictures() * config.tokens() * (6 * config.width + 2 * config.mlp));
        let clip = PhaseBytes::new(Phase::Image)
            .with(Part::Weights, self.weights(clip))
            .with(Part::Loading, self.loading(clip));
        let clip = self.working(clip, seen as u64 * SINGLE);
        let encoder = Sum::of(&self.checkpoint.vae_encoder_weights()?);
        let frames = match self.checkpoint.dit_config.kind {
            ModelKind::Ti2v => 1,
            _ => self.plan.latent.frames,
        };
        let VaeBytes { histories, working } = self.checkpoint.vae_config.encode_bytes(
            frames,
            self.latent_size(),
            &self.placement.vae_memory,
            &self.convolving(),
        );
        let vae = PhaseBytes::new(Phase::Image)
            .with(Part::Weights, self.vae_weights(encoder))
            .with(Part::Loading, self.loading(encoder))
            .with(Part::VaeHistories, self.at_work(histories));
        let vae = self.working(vae, working);
        let bytes = |phase: &PhaseBytes| phase.total().resident() + phase.total().device;
        Ok(if bytes(&clip) > bytes(&vae) { clip } else { vae })
    }

    fn pictures(&self) -> usize {
        self.plan.images.as_ref().map_or(0, |images| 1 + usize::from(images.last.is_some()))
    }

    fn latent_size(&self) -> [usize; 2] {
        [self.plan.latent.height, self.plan.latent.width]
    }

    /// Weights of convolutions in f16 are no longer read out of the file.
    fn vae_weights(&self, sum: Sum) -> Bytes {
        match self.placement.vae_memory.half && self.machine.half {
            true => self.at_work(sum.bytes / 2),
            false => self.weights(sum),
        }
    }

    fn convolving(&self) -> impl Fn([usize; 3]) -> u64 + use<> {
        let Machine { kind, threads, .. } = *self.machine;
        move |conv| conv3d_workspace(kind, conv, threads)
    }

    fn expert(&self, high: bool) -> Result<Vec<WeightBytes>, PipelineError> {
        Ok(self.checkpoint.transformer_weights(high, &self.placement.policy(self.machine.half))?)
    }

    /// Of a transformer in its place: on an adapter with streamed blocks two of them.
    fn transformer(&self, weights: &[WeightBytes]) -> Bytes {
        if !self.placement.stream_blocks {
            return self.weights(Sum::of(weights));
        }
        let (blocks, rest): (Vec<_>, Vec<_>) = weights.iter().partition(|w| w.path.starts_with("blocks."));
        let layers = self.checkpoint.dit_config.layers;
        let layer = |index| {
            let at = format!("blocks.{index}.");
            Sum::of(blocks.iter().copied().filter(|weight| weight.path.starts_with(&at)))
        };
        let two = (0..layers).map(layer).max_by_key(|sum| sum.bytes).unwrap_or_default();
        let (blocks, rest) = (Sum::of(blocks), Sum::of(rest));
        if self.on_adapter() {
            return blocks.on_host() + self.at_work(rest.bytes + 2 * two.bytes);
        }
        let mapped = (2 * two.mapped).min(blocks.mapped);
        self.weights(rest) + Bytes { mapped, ..blocks.on_host() }
    }

    fn load(&self, high: bool) -> Result<PhaseBytes, PipelineError> {
        let weights = self.expert(high)?;
        let (shape, config) = (self.pass_shape(), &self.checkpoint.dit_config);
        let camera = self.plan.camera.is_some();
        let embedding = self.at_work(config.embedding_bytes(&shape, camera));
        let loading = self.loading(Sum::of(&weights)).most(embedding);
        Ok(self
            .told(PhaseBytes::new(Phase::Load).with(Part::Weights, self.transformer(&weights)))
            .with(Part::Loading, loading))
    }

    fn denoise(&self, high: bool) -> Result<PhaseBytes, PipelineError> {
        let weights = self.expert(high)?;
        let pass = self.checkpoint.dit_config.pass_bytes(&self.pass_shape());
        let phase =
            self.told(PhaseBytes::new(Phase::Denoise).with(Part::Weights, self.transformer(&weights)));
        Ok(self.working(phase, pass.activations).with(Part::AttentionWorkspace, self.at_work(pass.attention)))
    }

    /// With latents, conditions and the camera's kept modulations.
    fn told(&self, phase: PhaseBytes) -> PhaseBytes {
        let (config, latent) = (&self.checkpoint.dit_config, &self.plan.latent);
        let cells = (latent.frames * latent.height * latent.width) as u64;
        let channels = LATENTS * latent.channels as u64 + 2 * config.condition_channels() as u64;
        let camera = self.plan.camera.is_some();
        let told = config.condition_bytes(&self.pass_shape(), camera);
        let kept = if camera { self.placement.camera_blocks as u64 } else { 0 };
        let modulation = config.modulation_bytes(self.plan.tokens, self.placement.value_bytes());
        phase
            .with(Part::Conditions, self.at_work(cells * channels * SINGLE + told))
            .with(Part::CameraCache, self.at_work(kept * modulation))
    }

    fn pass_shape(&self) -> PassShape {
        let config = &self.checkpoint.dit_config;
        let image = self.checkpoint.clip_config.as_ref().map_or(0, |clip| clip.tokens());
        let (tokens, kind) = (self.plan.tokens, self.machine.kind);
        // And one of the padding of each.
        let texts = self.text_rows();
        let rows: usize = texts.iter().map(|rows| rows + 1).sum();
        PassShape {
            tokens,
            value_bytes: self.placement.value_bytes(),
            quantized: self.placement.quant.or(self.checkpoint.dit.quant()).is_some(),
            on_host: kind == DeviceKind::Flex,
            texts: texts.len(),
            context_rows: rows + image * self.pictures(),
            modulates: self.plan.camera.is_some() && self.placement.camera_blocks < config.layers,
            workspace: attention_workspace(kind, config.heads, tokens, config.head_dim()),
        }
    }

    fn decode(&self) -> Result<PhaseBytes, PipelineError> {
        let decoder = Sum::of(&self.checkpoint.vae_decoder_weights()?);
        let (config, plan) = (&self.checkpoint.vae_config, self.plan);
        let VaeBytes { histories, working } = config.decode_bytes(
            plan.latent.frames,
            self.latent_size(),
            &self.placement.vae_memory,
            &self.convolving(),
        );
        let frames = config.temporal_factor().min(plan.frames) * plan.width * plan.height * 3;
        let frames = Bytes { host: frames as u64 * FRAME_BYTES, ..Bytes::default() };
        // Frames leave while the network waits for the next.
        let phase = PhaseBytes::new(Phase::Decode)
            .with(Part::Weights, self.vae_weights(decoder))
            .with(Part::VaeHistories, self.at_work(histories));
        Ok(if self.on_adapter() {
            self.working(phase.with(Part::Frames, frames), working)
        } else if frames.host > working {
            phase.with(Part::Frames, frames)
        } else {
            self.working(phase, working)
        })
    }
}
