//! Latents to frames.

use burn::{module::Module, prelude::*};

use super::{
    VaeConfig,
    blocks::{Middle, ResidualBlock, RmsNorm},
    causal_conv::CausalConv3d,
    config::Stage,
    feature_cache::FeatureCache,
    layer::Layer,
    patch::unpatchify,
    resample::Upsample,
    shortcut::DuplicateUp,
    statistics::Statistics,
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
    statistics: Statistics,
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
            statistics: Statistics::new(config),
        }
    }

    /// Decodes one latent frame at a time. Between frames only the last two inputs of each convolution are
    /// kept.
    ///
    /// # Shapes
    /// - `latents`: `[1, z, t, h, w]`
    /// - items: `[1, 3, n, height, width]`, where `n` is 1 for the first and the
    ///   [temporal factor](VaeConfig::temporal_factor) for every other
    pub fn stream(&self, latents: Tensor<5>) -> DecodeStream<'_> {
        let latents = self.prepare(latents);
        DecodeStream { decoder: self, latents, frame: 0, cache: FeatureCache::default() }
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
        self.post_quant_conv.forward_after(self.statistics.denormalise(latents), None)
    }

    fn forward(&self, x: Tensor<5>, cache: &mut FeatureCache) -> Tensor<5> {
        cache.rewind();
        let x = self.mid.forward(self.conv_in.forward(x, cache), cache);
        let stages = self.up.chunks(self.stage_layers).zip(&self.shortcuts);
        let x = stages.fold(x, |x, (layers, shortcut)| stage(layers, shortcut.as_ref(), x, cache));
        let x = self.conv_out.forward(self.norm_out.forward_silu(x), cache);
        unpatchify(x, self.patch_size).clamp(-1.0, 1.0)
    }
}

fn stage(
    layers: &[Layer<Upsample>],
    shortcut: Option<&DuplicateUp>,
    x: Tensor<5>,
    cache: &mut FeatureCache,
) -> Tensor<5> {
    let input = shortcut.map(|shortcut| (shortcut, x.clone()));
    let x = layers.iter().fold(x, |x, layer| match layer {
        Layer::Residual(block) => block.forward(x, cache),
        Layer::Resample(upsample) => upsample.forward(x, cache),
    });
    match input {
        Some((shortcut, input)) => x + shortcut.forward(input, cache),
        None => x,
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
    cache: FeatureCache,
}

impl Iterator for DecodeStream<'_> {
    type Item = Tensor<5>;

    fn next(&mut self) -> Option<Tensor<5>> {
        if self.frame == self.latents.dims()[2] {
            return None;
        }
        let latent = self.latents.clone().slice_dim(2, self.frame..self.frame + 1);
        self.frame += 1;
        Some(self.decoder.forward(latent, &mut self.cache))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.latents.dims()[2] - self.frame;
        (left, Some(left))
    }
}

impl ExactSizeIterator for DecodeStream<'_> {}
