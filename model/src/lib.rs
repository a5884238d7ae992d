//! The Wan networks: diffusion transformer, umT5 text encoder, CLIP image encoder, causal video VAE, schedulers.
//!
//! Takes tensors and configurations, gives tensors: opens no file, prints nothing. Modules hold lazy parameters that
//! `wan-import` fills.

pub mod camera;
pub mod clip;
mod config;
pub mod dit;
mod error;
mod guidance;
pub mod image;
mod latent;
mod linear;
mod noise;
mod norm;
mod param;
mod patches;
mod scheduler;
pub mod text;
mod vae;

pub use clip::{ClipActivation, ClipVision, ClipVisionConfig};
pub use config::{ModelKind, SamplingDefaults, WanConfig};
pub use dit::{
    BlockWatch, CameraContext, Conditions, Context, PassBytes, PassShape, Timestep, WanTransformer,
};
pub use error::ModelError;
pub use guidance::guide;
pub use latent::{LatentError, LatentShape, MAX_PIXELS, Strides};
pub use linear::{LargeLinears, Linear};
pub use noise::torch_randn;
pub use scheduler::{FlowSchedule, Grid, MAX_SHIFT, MAX_STEPS, Sampler, ScheduleError, Solver, sinusoid};
pub use vae::{
    ColourWeights, DecodeStream, LatentColours, LayerMemory, Tiling, TinyConfig, TinyDecoder, VaeBytes,
    VaeConfig, VaeConfigError, VaeDecoder, VaeEncoder, VaeMemory,
};
