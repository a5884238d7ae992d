//! Frames to latents.

use burn::{module::Module, prelude::*};

use super::{
    VaeConfig,
    blocks::{Middle, ResidualBlock, RmsNorm},
    causal_conv::CausalConv3d,
    config::Stage,
    feature_cache::FeatureCache,
    layer::Layer,
    patch::patchify,
    resample::Downsample,
    shortcut::AverageDown,
    statistics::Statistics,
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
    /// Layers per stage, the last one aside, which has no step.
    #[module(skip)]
    stage_layers: usize,
    #[module(skip)]
    patch_size: usize,
    #[module(skip)]
    statistics: Statistics,
    #[module(skip)]
    temporal_factor: usize,
    /// The latent frame from which on constant frames change nothing.
    #[module(skip)]
    memory: usize,
}

impl VaeEncoder {
    /// An encoder without memory until loaded; `config` must be [valid](VaeConfig::validate).
    pub fn new(config: &VaeConfig, device: &Device) -> Self {
        let (moments, middle) = (2 * config.z_dim, config.encoder_middle());
        let shortcuts = config.encoder_stages();
        let shortcuts = shortcuts.iter().map(|stage| config.residual.then(|| AverageDown::new(stage)));
        Self {
            conv_in: CausalConv3d::new(config.frame_channels(), config.base_dim, [3; 3], device),
            down: layers(config, device),
            mid: Middle::new(middle, device),
            norm_out: RmsNorm::new(middle, device),
            conv_out: CausalConv3d::new(middle, moments, [3; 3], device),
            quant_conv: CausalConv3d::pointwise(moments, moments, device),
            shortcuts: shortcuts.collect(),
            stage_layers: config.num_res_blocks + 1,
            patch_size: config.patch_size,
            statistics: Statistics::new(config),
            temporal_factor: config.temporal_factor(),
            memory: config.encoder_memory(),
        }
    }

    /// Encodes a video one latent frame at a time. Frames at the end that do not fill a latent frame are
    /// dropped.
    ///
    /// # Shapes
    /// - `video`: `[1, 3, frames, height, width]`, `frames > 0`; height and width are multiples of the
    ///   [spatial factor](VaeConfig::spatial_factor)
    /// - output: `[1, z, t, h, w]`
    pub fn encode(&self, video: Tensor<5>) -> Tensor<5> {
        let starts = (1..video.dims()[2]).step_by(self.temporal_factor);
        let ends = std::iter::once(1).chain(starts.clone().map(|start| start + self.temporal_factor));
        let chunks = std::iter::once(0)
            .chain(starts)
            .zip(ends)
            .filter(|&(_, end)| end <= video.dims()[2])
            .map(|(start, end)| video.clone().slice_dim(2, start..end));
        let latents: Vec<_> = self.encode_stream(chunks).collect();
        Tensor::cat(latents, 2)
    }

    /// Encodes chunks of a video as they come: the first of one frame, every other of the
    /// [temporal factor](VaeConfig::temporal_factor).
    ///
    /// # Shapes
    /// - `chunks`: `[1, 3, n, height, width]` each; items: `[1, z, 1, h, w]`
    pub fn encode_stream<'a>(
        &'a self,
        chunks: impl IntoIterator<Item = Tensor<5>, IntoIter: 'a>,
    ) -> impl Iterator<Item = Tensor<5>> + 'a {
        let mut cache = FeatureCache::default();
        chunks.into_iter().map(move |chunk| self.forward(chunk, &mut cache))
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
        let mut cache = FeatureCache::default();
        let mut settled: Option<Tensor<5>> = None;
        (0..latent_frames).map(move |frame| match (&end, &settled) {
            _ if frame == 0 => self.forward(first.clone(), &mut cache),
            (Some(end), _) if frame + 1 == latent_frames => self.forward(end.clone(), &mut cache),
            (_, Some(latent)) => latent.clone(),
            _ => {
                let latent = self.forward(middle.clone(), &mut cache);
                settled = (frame >= self.memory).then(|| latent.clone());
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

    fn forward(&self, x: Tensor<5>, cache: &mut FeatureCache) -> Tensor<5> {
        cache.rewind();
        let x = self.conv_in.forward(patchify(x, self.patch_size), cache);
        let stages = self.down.chunks(self.stage_layers).zip(&self.shortcuts);
        let x = stages.fold(x, |x, (layers, shortcut)| stage(layers, shortcut.as_ref(), x, cache));
        let x = self.norm_out.forward_silu(self.mid.forward(x, cache));
        let moments = self.quant_conv.forward(self.conv_out.forward(x, cache), cache);
        let z_dim = moments.dims()[1] / 2;
        self.statistics.normalise(moments.slice_dim(1, 0..z_dim))
    }
}

fn stage(
    layers: &[Layer<Downsample>],
    shortcut: Option<&AverageDown>,
    x: Tensor<5>,
    cache: &mut FeatureCache,
) -> Tensor<5> {
    let around = shortcut.map(|shortcut| shortcut.forward(x.clone()));
    let x = layers.iter().fold(x, |x, layer| match layer {
        Layer::Residual(block) => block.forward(x, cache),
        Layer::Resample(downsample) => downsample.forward(x, cache),
    });
    match around {
        Some(around) => x + around,
        None => x,
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
