//! The causal video VAE: frames to latents and back, one latent frame at a time.

mod blocks;
mod bytes;
mod causal_conv;
mod config;
mod decoder;
mod encoder;
mod feature_cache;
mod groups;
mod layer;
mod memory;
mod patch;
mod preview;
mod resample;
mod shortcut;
mod statistics;
mod tiling;
mod tiny;

pub use bytes::VaeBytes;
pub use config::{VaeConfig, VaeConfigError};
pub use decoder::{DecodeStream, VaeDecoder};
pub use encoder::VaeEncoder;
pub use feature_cache::LayerMemory;
pub use memory::VaeMemory;
pub use preview::{ColourWeights, LatentColours};
pub use tiling::Tiling;
pub use tiny::{TinyConfig, TinyDecoder};
