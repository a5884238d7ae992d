//! Dimensions of every released Wan transformer.

mod released;
mod sampling;

pub use sampling::SamplingDefaults;

use crate::latent::Strides;

/// Width of the CLIP image features of Wan 2.1.
const CLIP_DIM: usize = 1280;

/// CLIP tokens of a first and a last frame.
const CLIP_PAIR_TOKENS: usize = 514;

/// What a transformer is conditioned on besides text, and the layers it has for that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelKind {
    /// Text only.
    T2v,
    /// An image as 20 input channels and as CLIP tokens of width `image_dim`.
    ClipI2v { image_dim: usize },
    /// A first and a last image, as channels and as CLIP tokens, `image_len` of both together.
    Flf2v { image_dim: usize, image_len: usize },
    /// An image as 20 input channels.
    I2v,
    /// Control videos through `layers.len()` extra blocks, whose hints are added after the blocks in `layers`.
    Vace { layers: Vec<usize>, in_dim: usize },
    /// Text, or an image in place of the first latent frame with a timestep of 0.
    Ti2v,
    /// Speech.
    S2v,
    /// A pose and a face video.
    Animate,
    /// An image and a camera path of `control_dim` values per pixel; `causal` models run chunk by chunk with a cache.
    LingBot { control_dim: usize, causal: bool },
}

/// Dimensions of a Wan diffusion transformer.
#[derive(Clone, Debug, PartialEq)]
pub struct WanConfig {
    pub kind: ModelKind,
    /// Width of the token stream.
    pub dim: usize,
    /// Hidden width of the feed-forward layers.
    pub ffn_dim: usize,
    pub heads: usize,
    pub layers: usize,
    /// Latent channels in, conditioning included.
    pub in_dim: usize,
    /// Latent channels out.
    pub out_dim: usize,
    /// Width of the text encoder's rows.
    pub text_dim: usize,
    /// Text rows after padding; all are attended.
    pub text_len: usize,
    /// Width of the timestep's sinusoid.
    pub freq_dim: usize,
    /// Latent frames, rows and columns per token.
    pub patch: [usize; 3],
    /// Of layer and RMS norms.
    pub eps: f64,
    /// Transformers of this shape in one model: 2 where high and low noise have their own.
    pub experts: usize,
}

impl WanConfig {
    /// Wan 2.1 text to video: `Wan-AI/Wan2.1-T2V-1.3B`.
    pub fn t2v_1_3b() -> Self {
        Self {
            kind: ModelKind::T2v,
            dim: 1536,
            ffn_dim: 8960,
            heads: 12,
            layers: 30,
            in_dim: 16,
            out_dim: 16,
            text_dim: 4096,
            text_len: 512,
            freq_dim: 256,
            patch: [1, 2, 2],
            eps: 1e-6,
            experts: 1,
        }
    }

    /// Wan 2.1 text to video and text to image: `Wan-AI/Wan2.1-T2V-14B`.
    pub fn t2v_14b() -> Self {
        Self { dim: 5120, ffn_dim: 13_824, heads: 40, layers: 40, ..Self::t2v_1_3b() }
    }

    /// Wan 2.1 image to video: `Wan-AI/Wan2.1-I2V-14B-480P` and `Wan-AI/Wan2.1-I2V-14B-720P`.
    pub fn i2v_14b() -> Self {
        Self { kind: ModelKind::ClipI2v { image_dim: CLIP_DIM }, in_dim: 36, ..Self::t2v_14b() }
    }

    /// Wan 2.1 first and last frame to video: `Wan-AI/Wan2.1-FLF2V-14B-720P`.
    pub fn flf2v_14b() -> Self {
        let kind = ModelKind::Flf2v { image_dim: CLIP_DIM, image_len: CLIP_PAIR_TOKENS };
        Self { kind, ..Self::i2v_14b() }
    }

    /// Wan 2.1 video editing: `Wan-AI/Wan2.1-VACE-1.3B`.
    pub fn vace_1_3b() -> Self {
        Self { kind: vace(30, 2), ..Self::t2v_1_3b() }
    }

    /// Wan 2.1 video editing: `Wan-AI/Wan2.1-VACE-14B`.
    pub fn vace_14b() -> Self {
        Self { kind: vace(40, 5), ..Self::t2v_14b() }
    }

    /// Wan 2.2 text to video, per expert: `Wan-AI/Wan2.2-T2V-A14B`.
    pub fn t2v_a14b() -> Self {
        Self { experts: 2, ..Self::t2v_14b() }
    }

    /// Wan 2.2 image to video, per expert and without CLIP: `Wan-AI/Wan2.2-I2V-A14B`.
    pub fn i2v_a14b() -> Self {
        Self { kind: ModelKind::I2v, in_dim: 36, ..Self::t2v_a14b() }
    }

    /// Wan 2.2 text and image to video with VAE 2.2: `Wan-AI/Wan2.2-TI2V-5B`.
    pub fn ti2v_5b() -> Self {
        let kind = ModelKind::Ti2v;
        Self { kind, dim: 3072, ffn_dim: 14_336, heads: 24, in_dim: 48, out_dim: 48, ..Self::t2v_1_3b() }
    }

    /// Wan 2.2 speech to video: `Wan-AI/Wan2.2-S2V-14B`.
    pub fn s2v_14b() -> Self {
        Self { kind: ModelKind::S2v, ..Self::t2v_14b() }
    }

    /// Wan 2.2 character animation: `Wan-AI/Wan2.2-Animate-14B`.
    pub fn animate_14b() -> Self {
        Self { kind: ModelKind::Animate, in_dim: 36, ..Self::t2v_14b() }
    }

    /// LingBot-World steered by camera poses, per expert: `robbyant/lingbot-world-base-cam`.
    pub fn lingbot_base_cam() -> Self {
        Self { kind: ModelKind::LingBot { control_dim: 6, causal: false }, ..Self::i2v_a14b() }
    }

    /// LingBot-World steered by camera poses and actions, per expert: LingBot-World-Base (Act).
    pub fn lingbot_base_act() -> Self {
        Self { kind: ModelKind::LingBot { control_dim: 7, causal: false }, ..Self::i2v_a14b() }
    }

    /// LingBot-World in four steps per chunk: `robbyant/lingbot-world-fast`.
    pub fn lingbot_fast() -> Self {
        Self { kind: ModelKind::LingBot { control_dim: 6, causal: true }, experts: 1, ..Self::i2v_a14b() }
    }

    /// LingBot-World 2: `robbyant/lingbot-world-v2-14b-causal-fast`, and its pretrained sibling.
    pub fn lingbot_v2_14b() -> Self {
        Self::lingbot_fast()
    }

    /// LingBot-World 2, small: `robbyant/lingbot-world-v2-1.3b-causal-fast`, as announced.
    pub fn lingbot_v2_1_3b() -> Self {
        Self { kind: ModelKind::LingBot { control_dim: 6, causal: true }, in_dim: 36, ..Self::t2v_1_3b() }
    }

    /// Width of one attention head.
    pub fn head_dim(&self) -> usize {
        self.dim / self.heads
    }

    /// Values in one patch of the input.
    pub fn patch_volume(&self) -> usize {
        self.patch.iter().product()
    }

    /// Input channels beside the latents that are made: 20 where an image conditions them, 4 of its
    /// [mask](crate::image::condition_mask) and 16 of its latents; 0 for text alone, and where an image takes the place
    /// of latents.
    pub fn condition_channels(&self) -> usize {
        self.in_dim.saturating_sub(self.out_dim)
    }

    /// No wider than the 1.3B models.
    fn is_small(&self) -> bool {
        self.dim <= Self::t2v_1_3b().dim
    }

    /// Width of the image features, if the kind has a branch for them.
    pub fn image_dim(&self) -> Option<usize> {
        match self.kind {
            ModelKind::ClipI2v { image_dim } | ModelKind::Flf2v { image_dim, .. } => Some(image_dim),
            _ => None,
        }
    }

    /// Image tokens that have a learned position each, if the kind has such.
    pub fn image_len(&self) -> Option<usize> {
        match self.kind {
            ModelKind::Flf2v { image_len, .. } => Some(image_len),
            _ => None,
        }
    }

    /// Control values of one token, if the kind has a camera branch: those of all pixels under it.
    pub fn control_width(&self) -> Option<usize> {
        match self.kind {
            ModelKind::LingBot { control_dim, .. } => Some(control_dim * self.pixels_per_token()),
            _ => None,
        }
    }

    /// Pixels of a frame under one token of a model with VAE 2.1.
    fn pixels_per_token(&self) -> usize {
        Strides::VAE_2_1.spatial.pow(2) * self.patch_volume()
    }

    /// Strides of the model's VAE together with its patch.
    pub fn strides(&self) -> Strides {
        let vae = if self.kind == ModelKind::Ti2v { Strides::VAE_2_2 } else { Strides::VAE_2_1 };
        Strides { patch: self.patch, ..vae }
    }

    /// Parameters of one expert; `None` for the kinds whose adapters are not described here (speech, animation).
    pub fn parameter_count(&self) -> Option<u64> {
        if matches!(self.kind, ModelKind::S2v | ModelKind::Animate) {
            return None;
        }
        let d = self.dim;
        let patch_embedding = linear(self.in_dim * self.patch_volume(), d);
        let text = linear(self.text_dim, d) + linear(d, d);
        let time = linear(self.freq_dim, d) + linear(d, d) + linear(d, 6 * d);
        let head = 2 * d + linear(d, self.out_dim * self.patch_volume());
        let blocks = self.layers * self.block_parameters();
        Some((patch_embedding + text + time + head + blocks + self.extra_parameters()) as u64)
    }

    /// A plain block: modulation, two attentions with query and key norms, one affine norm, feed-forward.
    fn block_parameters(&self) -> usize {
        let d = self.dim;
        let attention = 4 * linear(d, d) + 2 * d;
        6 * d + 2 * attention + 2 * d + linear(d, self.ffn_dim) + linear(self.ffn_dim, d)
    }

    /// What the kind adds to the text-to-video network.
    fn extra_parameters(&self) -> usize {
        let d = self.dim;
        match &self.kind {
            ModelKind::T2v | ModelKind::I2v | ModelKind::Ti2v | ModelKind::S2v | ModelKind::Animate => 0,
            ModelKind::ClipI2v { image_dim } => self.image_parameters(*image_dim),
            ModelKind::Flf2v { image_dim, image_len } => {
                self.image_parameters(*image_dim) + image_len * image_dim
            }
            ModelKind::Vace { layers, in_dim } => {
                let block = self.block_parameters() + linear(d, d);
                linear(in_dim * self.patch_volume(), d) + layers.len() * block + linear(d, d)
            }
            ModelKind::LingBot { control_dim, .. } => {
                let embedding = linear(control_dim * self.pixels_per_token(), d);
                embedding + 2 * linear(d, d) + self.layers * 4 * linear(d, d)
            }
        }
    }

    fn image_parameters(&self, image_dim: usize) -> usize {
        let d = self.dim;
        let embedding = 2 * image_dim + linear(image_dim, image_dim) + linear(image_dim, d) + 2 * d;
        embedding + self.layers * (2 * linear(d, d) + d)
    }
}

/// Every `every`th of `blocks` blocks takes a hint.
fn vace(blocks: usize, every: usize) -> ModelKind {
    ModelKind::Vace { layers: (0..blocks).step_by(every).collect(), in_dim: 96 }
}

/// Parameters of a linear layer with bias.
fn linear(inputs: usize, outputs: usize) -> usize {
    (inputs + 1) * outputs
}
