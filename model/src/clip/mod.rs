//! The CLIP image encoder behind Wan 2.1's image-to-video tasks.

mod block;
mod config;
mod vision;

pub use config::{ClipActivation, ClipVisionConfig};
pub use vision::ClipVision;
