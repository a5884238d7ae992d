//! What steers a forward pass besides the latents.

use burn::prelude::*;

use super::CameraContext;

/// How noisy the tokens are, 0 to 1000.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Timestep {
    /// All alike.
    All(f64),
    /// The first latent frame, which may be a given image, and the others.
    FirstFrame { first: f64, rest: f64 },
}

impl From<f64> for Timestep {
    fn from(timestep: f64) -> Self {
        Self::All(timestep)
    }
}

impl Timestep {
    /// Each distinct one, in the order of frames.
    pub(super) fn distinct(self) -> Vec<f64> {
        match self {
            Self::All(timestep) => vec![timestep],
            Self::FirstFrame { first, rest } => vec![first, rest],
        }
    }
}

/// The same for every step of a run, the text apart, which guidance changes.
#[derive(Clone, Copy, Debug)]
pub struct Conditions<'a> {
    /// Of [`super::WanTransformer::embed_text`].
    pub text: &'a Tensor<3>,
    /// Of [`super::WanTransformer::embed_image`]; without it the image branch is left out.
    pub image: Option<&'a Tensor<3>>,
    /// Of [`super::WanTransformer::embed_camera`]; without it the camera branch is left out, which is not the same as
    /// a camera at rest.
    pub camera: Option<&'a CameraContext>,
}

impl<'a> From<&'a Tensor<3>> for Conditions<'a> {
    fn from(text: &'a Tensor<3>) -> Self {
        Self { text, image: None, camera: None }
    }
}
