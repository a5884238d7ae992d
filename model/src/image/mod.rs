//! From a picture to what the networks take, as the official code and as the diffusers library prepare it, and which
//! frames of a video pictures stand for.
//!
//! The official code resizes planes of f32 with torch's bicubic interpolation, which does not filter before it
//! shrinks; diffusers resizes 8-bit pixels with Pillow, which does.

mod bicubic;
mod clip;
mod mask;
mod picture;
mod planes;
mod resample;

pub use clip::{clip_planes, clip_planes_diffusers};
pub use mask::condition_mask;
pub use picture::{Picture, PictureError};
pub use planes::Planes;
pub use resample::Filter;
