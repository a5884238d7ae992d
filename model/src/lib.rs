//! The Wan networks: diffusion transformer, umT5 text encoder, causal video VAE, schedulers.
//!
//! Takes tensors and configurations, gives tensors: opens no file, prints nothing. Modules hold lazy parameters that
//! `wan-import` fills.

mod linear;
mod param;
mod vae;

pub use linear::Linear;
pub use vae::{DecodeStream, VaeConfig, VaeConfigError, VaeDecoder, VaeEncoder};
