//! Measurements on full-size random weights.

pub mod kernels;
pub mod quant;
mod random;
mod report;

pub use random::fill;
pub use report::{
    Measurement, argument, device_argument, latent_argument, peak_memory_bytes, processor_seconds,
    relative_l2, time,
};
