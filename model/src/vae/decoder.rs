//! Latents to frames.

use burn::{module::Module, prelude::*};

use super::{
    VaeConfig,
    blocks::{Middle, ResidualBlock, RmsNorm},
    causal_conv::CausalConv3d,
    config::Stage,
    feature_cache::{FeatureCache, LayerMemory},
    layer::{Layer, residual_blocks},
    memory::{VaeMemory, pieces},
    patch::unpatchify,
    resample::Upsample,
    shortcut::DuplicateUp,
    statistics::Statistics,
    tiling::Tiles,
};

/// The decoder: from latents in the diffusion model's scale to frames in `[-1, 1]`. All work is f32.
#[derive(Module, Debug)]
pub struct VaeDecoder {
    post_quant_conv: CausalConv3d,
    conv_in: CausalConv3d,
    mid: Middle,
    up: Vec<Layer<Upsample>>,
    norm_out: RmsNorm,
    conv_out: CausalConv3d,
    /// One entry per stage; none for the last one.
    #[module(skip)]
    shortcuts: Vec<Option<DuplicateUp>>,
    /// Layers per stage, the last one aside, which has no step.
    #[module(skip)]
    stage_layers: usize,
    #[module(skip)]
    patch_size: usize,
    #[module(skip)]
    spatial_factor: usize,
    #[module(skip)]
    statistics: Statistics,
    #[module(skip)]
    memory: VaeMemory,
}

impl VaeDecoder {
    /// A decoder without memory until loaded; `config` must be [valid](VaeConfig::validate).
    pub fn new(config: &VaeConfig, device: &Device) -> Self {
        let (z_dim, middle) = (config.z_dim, config.decoder_middle());
        let last = config.dim_mult[0] * config.decoder_width();
        let shortcuts = config.decoder_stages().into_iter().map(|stage| {
            let bridged = config.residual && stage.temporal_step.is_some();
            bridged.then(|| DuplicateUp::new(&stage))
        });
        Self {
            post_quant_conv: CausalConv3d::pointwise(z_dim, z_dim, device),
            conv_in: CausalConv3d::new(z_dim, middle, [3; 3], device),
            mid: Middle::new(middle, device),
            up: layers(config, device),
            norm_out: RmsNorm::new(last, device),
            conv_out: CausalConv3d::new(last, config.frame_channels(), [3; 3], device),
            shortcuts: shortcuts.collect(),
            stage_layers: config.num_res_blocks + 2,
            patch_size: config.patch_size,
            spatial_factor: config.spatial_factor(),
            statistics: Statistics::new(config),
            memory: VaeMemory::default(),
        }
    }

    /// The same decoder, already loaded, within other bounds of memory.
    pub fn with_memory(self, memory: VaeMemory) -> Self {
        Self { memory, ..memory.stored(self) }
    }

    /// Decodes one latent frame at a time. Between frames only the last two inputs of each convolution are
    /// kept. Where frames are large, the frames a latent frame becomes pass one after the other through the layers.
    ///
    /// # Shapes
    /// - `latents`: `[1, z, t, h, w]`
    /// - items: `[1, 3, n, height, width]`, where `n` is 1 for the first and the
    ///   [temporal factor](VaeConfig::temporal_factor) for every other
    pub fn stream(&self, latents: Tensor<5>) -> DecodeStream<'_> {
        let latents = self.prepare(latents);
        let [.., rows, columns] = latents.dims();
        let tiles = self.memory.tiles([rows, columns], [1, self.spatial_factor], &latents.device());
        DecodeStream { decoder: self, latents, frame: 0, tiles }
    }

    /// As [`Self::stream`], from latent frame `frame` on with what [`DecodeStream::memory`] gave before it: the same bits as
    /// without a stop. `None` if that is the memory of a stream in other tiles.
    pub fn stream_from(
        &self,
        latents: Tensor<5>,
        frame: usize,
        memory: Vec<Vec<LayerMemory>>,
    ) -> Option<DecodeStream<'_>> {
        let stream = self.stream(latents);
        let half = self.memory.half_on(&stream.latents.device());
        Some(DecodeStream { frame, tiles: stream.tiles.remembering(memory, half)?, ..stream })
    }

    /// Decodes all latent frames at once: the definition that [`Self::stream`] must agree with, in memory
    /// that grows with the length of the video.
    ///
    /// # Shapes
    /// - `latents`: `[1, z, t, h, w]`; output: `[1, 3, frames, height, width]`
    pub fn decode_full(&self, latents: Tensor<5>) -> Tensor<5> {
        self.forward(self.prepare(latents), &mut FeatureCache::default())
    }

    fn prepare(&self, latents: Tensor<5>) -> Tensor<5> {
        self.post_quant_conv.forward_after(self.statistics.denormalise(latents), vec![])
    }

    fn forward(&self, x: Tensor<5>, cache: &mut FeatureCache) -> Tensor<5> {
        cache.resume(0);
        let x = self.mid.forward(self.conv_in.forward(x, cache), cache);
        let mut frames = Vec::new();
        self.stages_from(0, x, cache, &mut frames);
        Tensor::cat(frames, 2)
    }

    /// What becomes of `x` in stage `index` and all after it, appended to `frames`. Each piece of a stage's result passes
    /// through all later layers before the next is made.
    fn stages_from(&self, index: usize, x: Tensor<5>, cache: &mut FeatureCache, frames: &mut Vec<Tensor<5>>) {
        let Some(layers) = self.up.chunks(self.stage_layers).nth(index) else {
            frames.push(self.head(x, cache));
            return;
        };
        let shortcut = self.shortcuts[index].as_ref().map(|shortcut| (shortcut, x.clone()));
        let x = residual_blocks(layers, x, cache);
        let Some(upsample) = layers.iter().find_map(Layer::resample) else {
            return self.stages_from(index + 1, x, cache, frames);
        };
        let first = shortcut.is_some() && !std::mem::replace(&mut cache.slot().started, true);
        let x = upsample.double_time(x, cache);
        let at_once = self.memory.at_once(upsample.frame_elements(x.dims()));
        let (place, mut start) = (cache.place(), 0);
        for x in pieces(x, at_once) {
            let range = start..start + x.dims()[2];
            start = range.end;
            let x = upsample.double_pixels(x, &self.memory);
            let x = match &shortcut {
                Some((shortcut, input)) => x + shortcut.forward(input, first, range),
                None => x,
            };
            cache.resume(place);
            self.stages_from(index + 1, x, cache, frames);
        }
    }

    fn head(&self, x: Tensor<5>, cache: &mut FeatureCache) -> Tensor<5> {
        let x = self.conv_out.forward_by_taps(self.norm_out.forward_silu(x), cache);
        unpatchify(x, self.patch_size).clamp(-1.0, 1.0)
    }
}

fn layers(config: &VaeConfig, device: &Device) -> Vec<Layer<Upsample>> {
    let mut layers = Vec::new();
    for Stage { inputs, outputs, temporal_step } in config.decoder_stages() {
        layers.push(Layer::Residual(ResidualBlock::new(inputs, outputs, device)));
        for _ in 0..config.num_res_blocks {
            layers.push(Layer::Residual(ResidualBlock::new(outputs, outputs, device)));
        }
        if let Some(temporal) = temporal_step {
            layers.push(Layer::Resample(Upsample::new(outputs, config.upsampled(outputs), temporal, device)));
        }
    }
    layers
}

/// The frames of one video, in groups of one latent frame each; see [`VaeDecoder::stream`].
pub struct DecodeStream<'a> {
    decoder: &'a VaeDecoder,
    latents: Tensor<5>,
    frame: usize,
    tiles: Tiles,
}

impl DecodeStream<'_> {
    /// The latent frame that comes next, from 0.
    pub fn frame(&self) -> usize {
        self.frame
    }

    /// What each tile's layers remember for it.
    pub fn memory(&self) -> Vec<Vec<LayerMemory>> {
        self.tiles.memory()
    }
}

impl Iterator for DecodeStream<'_> {
    type Item = Tensor<5>;

    fn next(&mut self) -> Option<Tensor<5>> {
        if self.frame >= self.latents.dims()[2] {
            return None;
        }
        let latent = self.latents.clone().slice_dim(2, self.frame..self.frame + 1);
        self.frame += 1;
        Some(self.tiles.map(latent, |latent, cache| self.decoder.forward(latent, cache)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.latents.dims()[2].saturating_sub(self.frame);
        (left, Some(left))
    }
}

impl ExactSizeIterator for DecodeStream<'_> {}
