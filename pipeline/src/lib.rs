//! One film: request, phases, denoising loop, decoding.
//!
//! A [`GenerateRequest`] becomes a validated [`Plan`]; [`generate`] carries the plan out phase by phase, each
//! component freed before the next needs the room, and reports through [`Event`]s. [`Denoise`] is the sampling loop as
//! an iterator for callers with other plans.

mod decode;
#[cfg(feature = "demo")]
pub mod demo;
mod denoise;
mod error;
mod event;
mod phases;
mod request;

pub use decode::{FrameChunk, Rounding};
pub use denoise::{Conditioning, Denoise, Step};
pub use error::PipelineError;
pub use event::{CancelToken, Event, Phase};
pub use phases::{Engine, ObserverError, generate};
pub use request::{GenerateRequest, Noise, Plan, Schedule, default_fps};
