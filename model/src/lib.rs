//! The Wan networks: diffusion transformer, umT5 text encoder, causal video VAE, schedulers.
//!
//! Takes tensors and configurations, gives tensors: opens no file, prints nothing. Modules hold lazy parameters that
//! `wan-import` fills.

mod activation;
mod config;
pub mod dit;
mod linear;
mod param;

pub use config::WanConfig;
pub use dit::WanTransformer;
pub use linear::Linear;
