//! Frames to latents.

use burn::{module::Module, prelude::*};

use super::{
    VaeConfig,
    blocks::{Middle, ResidualBlock, RmsNorm},
    causal_conv::CausalConv3d,
    config::Stage,
    feature_cache::FeatureCache,
    groups::Groups,
    layer::{Layer, residual_blocks},
    memory::{VaeMemory, pieces},
    patch::patchify,
    resample::Downsample,
    shortcut::AverageDown,
    statistics::Statistics,
    tiling::Tiles,
};

/// The encoder: from frames in `[-1, 1]` to the mode of the latents in the diffusion model's scale. All work is
/// f32.
#[derive(Module, Debug)]
pub struct VaeEncoder {
    conv_in: CausalConv3d,
    down: Vec<Layer<Downsample>>,
    mid: Middle,
    norm_out: RmsNorm,
    conv_out: CausalConv3d,
    quant_conv: CausalConv3d,
    /// One entry per stage.
    #[module(skip)]
    shortcuts: Vec<Option<AverageDown>>,
    /// Channels of each stage.
    #[module(skip)]
    widths: Vec<usize>,
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
    temporal_factor: usize,
    /// The latent frame from which on constant frames change nothing.
    #[module(skip)]
    settled: usize,
    #[module(skip)]
    memory: VaeMemory,
}

impl VaeEncoder {
    /// An encoder without memory until loaded; `config` must be [valid](VaeConfig::validate).
    pub fn new(config: &VaeConfig, device: &Device) -> Self {
        let (moments, middle) = (2 * config.z_dim, config.encoder_middle());
        let stages = config.encoder_stages();
        let shortcuts = stages.iter().map(|stage| config.residual.then(|| AverageDown::new(stage)));
        Self {
            conv_in: CausalConv3d::new(config.frame_channels(), config.base_dim, [3; 3], device),
            down: layers(config, device),
            mid: Middle::new(middle, device),
            norm_out: RmsNorm::new(middle, device),
            conv_out: CausalConv3d::new(middle, moments, [3; 3], device),
            quant_conv: CausalConv3d::pointwise(moments, moments, device),
            shortcuts: shortcuts.collect(),
            widths: stages.iter().map(|stage| stage.inputs.max(stage.outputs)).collect(),
            stage_layers: config.num_res_blocks + 1,
            patch_size: config.patch_size,
            spatial_factor: config.spatial_factor(),
            statistics: Statistics::new(config),
            temporal_factor: config.temporal_factor(),
            settled: config.encoder_memory(),
            memory: VaeMemory::default(),
        }
    }

    /// The same encoder, already loaded, within other bounds of memory.
    pub fn with_memory(self, memory: VaeMemory) -> Self {
        Self { memory, ..memory.stored(self) }
    }

    /// Encodes a video one latent frame at a time. Frames at the end that do not fill a latent frame are
    /// dropped.
    ///
    /// # Shapes
    /// - `video`: `[1, 3, frames, height, width]`, `frames > 0`; height and width are multiples of the
    ///   [spatial factor](VaeConfig::spatial_factor)
    /// - output: `[1, z, t, h, w]`
    pub fn encode(&self, video: Tensor<5>) -> Tensor<5> {
        Tensor::cat(self.encode_stream([video]).collect(), 2)
    }

    /// Encodes a video that comes in chunks of any number of frames, a latent frame as soon as its frames are there.
    /// Frames at the end that do not fill a latent frame are dropped.
    ///
    /// # Shapes
    /// - `chunks`: `[1, 3, n, height, width]` each; items: `[1, z, 1, h, w]`
    pub fn encode_stream<'a>(
        &'a self,
        chunks: impl IntoIterator<Item = Tensor<5>, IntoIter: 'a>,
    ) -> impl Iterator<Item = Tensor<5>> + 'a {
        let mut tiles: Option<Tiles> = None;
        let groups = Groups::new(chunks.into_iter(), self.temporal_factor);
        groups.map(move |chunk| {
            let tiles = tiles.get_or_insert_with(|| self.tiles(&chunk));
            tiles.map(chunk, |chunk, cache| self.forward(chunk, cache))
        })
    }

    /// Encodes a video whose frame 0 is `first`, whose very last frame is `last`, if given, and whose other frames are
    /// mid-grey, the 0 of pixels in `[-1, 1]`. A video of one latent frame is `first` alone.
    ///
    /// Frames are made as they are needed. Grey frames past the encoder's [memory](VaeConfig::encoder_memory) are not
    /// encoded: their latent is that of the grey frames before them.
    ///
    /// # Shapes
    /// - `first`, `last`: `[1, 3, 1, height, width]`; height and width are multiples of the
    ///   [spatial factor](VaeConfig::spatial_factor)
    /// - items: `latent_frames` of `[1, z, 1, h, w]`
    pub fn encode_stills(
        &self,
        first: Tensor<5>,
        last: Option<Tensor<5>>,
        latent_frames: usize,
    ) -> impl Iterator<Item = Tensor<5>> + '_ {
        let grey = first.zeros_like();
        let end = last.map(|last| {
            let before = std::iter::repeat_n(grey.clone(), self.temporal_factor - 1);
            Tensor::cat(before.chain([last]).collect(), 2)
        });
        let middle = grey.repeat_dim(2, self.temporal_factor);
        let mut tiles = self.tiles(&first);
        let mut encode =
            move |chunk: &Tensor<5>| tiles.map(chunk.clone(), |chunk, cache| self.forward(chunk, cache));
        let mut settled: Option<Tensor<5>> = None;
        (0..latent_frames).map(move |frame| match (&end, &settled) {
            _ if frame == 0 => encode(&first),
            (Some(end), _) if frame + 1 == latent_frames => encode(end),
            (_, Some(latent)) => latent.clone(),
            _ => {
                let latent = encode(&middle);
                settled = (frame >= self.settled).then(|| latent.clone());
                latent
            }
        })
    }

    /// Encodes all frames at once: the definition that [`Self::encode`] must agree with, in memory that
    /// grows with the length of the video. Shapes are those of [`Self::encode`].
    pub fn encode_full(&self, video: Tensor<5>) -> Tensor<5> {
        let frames = video.dims()[2];
        let whole = frames - (frames - 1) % self.temporal_factor;
        self.forward(video.slice_dim(2, 0..whole), &mut FeatureCache::default())
    }

    fn tiles(&self, video: &Tensor<5>) -> Tiles {
        let [.., height, width] = video.dims();
        let (factor, device) = (self.spatial_factor, video.device());
        self.memory.tiles([height / factor, width / factor], [factor, 1], &device)
    }

    fn forward(&self, x: Tensor<5>, cache: &mut FeatureCache) -> Tensor<5> {
        cache.resume(0);
        let stages = 0..self.shortcuts.len();
        let x = stages.fold(patchify(x, self.patch_size), |x, index| self.stage(index, x, cache));
        let x = self.norm_out.forward_silu(self.mid.forward(x, cache));
        let moments = self.quant_conv.forward(self.conv_out.forward(x, cache), cache);
        let z_dim = moments.dims()[1] / 2;
        self.statistics.normalise(moments.slice_dim(1, 0..z_dim))
    }

    /// Piece by piece up to where time is halved; the first stage takes what the first convolution makes of `x`.
    fn stage(&self, index: usize, x: Tensor<5>, cache: &mut FeatureCache) -> Tensor<5> {
        let layers = &self.down[index * self.stage_layers..];
        let layers = &layers[..self.stage_layers.min(layers.len())];
        let downsample = layers.iter().find_map(Layer::resample);
        let [_, _, _, h, w] = x.dims();
        let at_once = self.memory.at_once(self.widths[index] * h * w);
        let (place, mut inputs, mut results) = (cache.place(), Vec::new(), Vec::new());
        for x in pieces(x, at_once) {
            cache.resume(place);
            let x = if index == 0 { self.conv_in.forward(x, cache) } else { x };
            if self.shortcuts[index].is_some() {
                inputs.push(x.clone());
            }
            let x = residual_blocks(layers, x, cache);
            results.push(match downsample {
                Some(step) => step.halve_pixels(x),
                None => x,
            });
        }
        let x = Tensor::cat(results, 2);
        let x = match downsample {
            Some(step) => step.halve_time(x, cache),
            None => x,
        };
        match &self.shortcuts[index] {
            Some(shortcut) => x + shortcut.forward(Tensor::cat(inputs, 2)),
            None => x,
        }
    }
}

fn layers(config: &VaeConfig, device: &Device) -> Vec<Layer<Downsample>> {
    let mut layers = Vec::new();
    for Stage { inputs, outputs, temporal_step } in config.encoder_stages() {
        for block in 0..config.num_res_blocks {
            let inputs = if block == 0 { inputs } else { outputs };
            layers.push(Layer::Residual(ResidualBlock::new(inputs, outputs, device)));
        }
        if let Some(temporal) = temporal_step {
            layers.push(Layer::Resample(Downsample::new(outputs, temporal, device)));
        }
    }
    layers
}
