//! Sizes of a CLIP image encoder.

/// The nonlinearity of the feed-forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClipActivation {
    /// `x Φ(x)`, by the error function.
    Gelu,
    /// `x sigmoid(1.702 x)`.
    QuickGelu,
}

/// Sizes of a CLIP image encoder.
#[derive(Clone, Debug, PartialEq)]
pub struct ClipVisionConfig {
    /// Rows and columns of a picture, a multiple of `patch`.
    pub image_size: usize,
    /// Pixel rows and columns per token.
    pub patch: usize,
    pub width: usize,
    /// A divisor of `width`.
    pub heads: usize,
    /// Blocks of the whole network, the last of which is never run.
    pub layers: usize,
    /// Width inside the feed-forward.
    pub mlp: usize,
    pub eps: f64,
    pub activation: ClipActivation,
    /// One matrix gives queries, keys and values together, in this order, instead of one each.
    pub fused_qkv: bool,
}

impl ClipVisionConfig {
    /// ViT-H/14, the image encoder of Wan 2.1, as the authors store it.
    /// <https://github.com/Wan-Video/Wan2.1/blob/9737cba/wan/modules/clip.py>
    pub fn vit_h_14() -> Self {
        Self {
            image_size: 224,
            patch: 14,
            width: 1280,
            heads: 16,
            layers: 32,
            mlp: 5120,
            eps: 1e-5,
            activation: ClipActivation::Gelu,
            fused_qkv: true,
        }
    }

    /// Token states per picture: one for the class, one per patch.
    pub fn tokens(&self) -> usize {
        1 + (self.image_size / self.patch).pow(2)
    }
}
