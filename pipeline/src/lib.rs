//! One film: request, phases, denoising loop, decoding.
//!
//! A [`GenerateRequest`] becomes a validated [`Plan`]; [`generate`] carries the plan out phase by phase, each
//! component freed before the next needs the room, and reports through [`Event`]s. [`Denoise`] is the sampling loop for
//! callers with other plans.

mod camera;
mod decode;
#[cfg(feature = "demo")]
pub mod demo;
mod denoise;
mod error;
mod event;
mod health;
mod image;
mod kept;
mod memory;
mod phases;
mod plan;
mod prepare;
mod preview;
mod request;
mod size;
mod state;
mod task;

pub use decode::{FrameChunk, Rounding};
pub use denoise::{Conditioning, Denoise, Expert, ImageLatents, Step};
pub use error::PipelineError;
pub use event::{CancelToken, Event, Phase};
pub use health::{
    Diagnosis, FLAT, Health, HealthCheck, SATURATED, Statistics, StepStatistics, Subject, largest_rms,
};
pub use kept::Kept;
pub use memory::{
    Bytes, DeviceRoom, Machine, MemoryPlan, Offload, Part, PartBytes, PhaseBytes, Placement, Question, Room,
    Settled, Shortage, Stay, VaeTiling, Wish,
};
pub use phases::{Engine, ObserverError, generate, resume, stream_pages};
pub use plan::{Guidance, Images, Plan, Stage};
pub use preview::{Preview, latent_colours};
pub use request::{GenerateRequest, Noise, Schedule, default_fps};
pub use state::{DecoderStart, LayerCounts, LoadTensor, Pause, Snapshot, Start, State, decoder_memory};
pub use task::Task;
