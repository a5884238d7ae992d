//! The diffusion transformer.
//!
//! Its parts open `tracing` spans at level `trace` for those who measure them; nobody listening, a span is a branch.

mod attention;
mod block;
mod bytes;
mod camera;
mod conditions;
mod context;
mod embed;
mod ffn;
mod head;
mod image;
mod norm;
mod transformer;

pub use attention::Attention;
pub use block::WanBlock;
pub use bytes::{PassBytes, PassShape};
pub use camera::{CameraContext, CameraEmbed};
pub use conditions::{Conditions, Timestep};
pub use context::Context;
pub use embed::{PatchEmbed, TextEmbed, TimeEmbed};
pub use ffn::FeedForward;
pub use head::Head;
pub use image::ImageEmbed;
pub use transformer::{BlockWatch, WanTransformer};
