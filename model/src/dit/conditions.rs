//! What steers a forward pass besides the latents.

use super::{CameraContext, Context};

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

/// The same for every step of a run.
#[derive(Clone, Copy, Debug)]
pub struct Conditions<'a, const N: usize = 1> {
    /// Of [`super::WanTransformer::embed_text`], one for each result; guidance has two.
    pub texts: [&'a Context; N],
    /// Of [`super::WanTransformer::embed_image`]; without it the image branch is left out.
    pub image: Option<&'a Context>,
    /// Of [`super::WanTransformer::embed_camera`]; without it the camera branch is left out, which is not the same as
    /// a camera at rest.
    pub camera: Option<&'a CameraContext>,
}

impl<'a> From<&'a Context> for Conditions<'a> {
    fn from(text: &'a Context) -> Self {
        Self { texts: [text], image: None, camera: None }
    }
}
