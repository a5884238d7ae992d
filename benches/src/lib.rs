//! Measurements on full-size random weights, or on those of a checkpoint.

mod flops;
pub mod kernels;
mod length;
pub mod load;
mod memory;
mod network;
mod pass;
pub mod profile;
pub mod quant;
mod random;
mod report;
pub mod step;
pub mod vae;

pub use flops::{BlockFlops, forward_flops};
pub use length::Length;
pub use memory::peak_memory_bytes;
pub use network::{Form, Networks, Preset, RandomWeights};
pub use pass::{Camera, Pass};
pub use random::fill;
pub use report::{
    Measurement, argument, device_argument, latent_argument, processor_seconds, relative_l2, time,
};
