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
mod image;
mod phases;
mod plan;
mod request;
mod size;
mod task;

pub use decode::{FrameChunk, Rounding};
pub use denoise::{Conditioning, Denoise, Expert, ImageLatents, Step};
pub use error::PipelineError;
pub use event::{CancelToken, Event, Phase};
pub use phases::{Engine, ObserverError, generate};
pub use plan::{Guidance, Images, Plan, Stage};
pub use request::{GenerateRequest, Noise, Schedule, default_fps};
pub use task::Task;
