//! The image branch of Wan 2.1: CLIP states as rows that cross-attention reads beside the text.

use burn::{
    module::{Module, Param},
    prelude::*,
    tensor::activation::gelu,
};

use crate::{Linear, ModelError, WanConfig, norm::AffineNorm, param::param};

/// Of the branch's layer norms, whatever the transformer's is.
const EPS: f64 = 1e-5;

/// Positions if there are several pictures, then norm, linear, GELU (exact form), linear, norm.
#[derive(Module, Debug)]
pub struct ImageEmbed {
    position: Option<Param<Tensor<3>>>,
    norm_in: AffineNorm,
    linear1: Linear,
    linear2: Linear,
    norm_out: AffineNorm,
    #[module(skip)]
    width: usize,
}

impl ImageEmbed {
    /// `None` for a transformer without the branch.
    pub(super) fn new(config: &WanConfig, device: &Device) -> Option<Self> {
        let width = config.image_dim()?;
        Some(Self {
            position: config.image_len().map(|rows| param([1, rows, width], device)),
            norm_in: AffineNorm::new(width, EPS, device),
            linear1: Linear::new(width, width, device),
            linear2: Linear::new(width, config.dim, device),
            norm_out: AffineNorm::new(config.dim, EPS, device),
            width,
        })
    }

    /// `[pictures, tokens, width]` to `[1, pictures * tokens, d]`.
    pub(super) fn forward(&self, states: Tensor<3>) -> Result<Tensor<3>, ModelError> {
        let [pictures, tokens, width] = states.dims();
        let rows = pictures * tokens;
        let expected = self.position.as_ref().map(|position| position.lazy_shape()[1]);
        if width != self.width || expected.is_some_and(|expected| expected != rows) {
            let expected = [expected.unwrap_or(rows), self.width];
            return Err(ModelError::ImageStates { found: [rows, width], expected });
        }
        let x = states.reshape([1, rows, width]);
        let x = self.position.as_ref().map_or(x.clone(), |position| x + position.val());
        let hidden = gelu(self.linear1.forward(self.norm_in.forward(x)));
        Ok(self.norm_out.forward(self.linear2.forward(hidden)))
    }
}
