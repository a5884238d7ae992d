//! The Wan networks: diffusion transformer, umT5 text encoder, causal video VAE, schedulers.
//!
//! Takes tensors and configurations, gives tensors: opens no file, prints nothing. Modules hold lazy parameters that
//! `wan-import` fills.

mod error;
mod linear;
mod param;
pub mod text;

pub use error::ModelError;
pub use linear::Linear;
