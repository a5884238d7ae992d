//! The built binary on a tiny checkpoint, from flags to files.
#![allow(clippy::unwrap_used)]

mod batch;
mod bench;
mod compile;
mod convert;
#[cfg(feature = "demo")]
mod demo;
mod doctor;
mod film;
mod inspect;
mod interrupt;
#[cfg(all(unix, feature = "demo"))]
mod leftovers;
mod metadata;
mod plan;
mod preview;
mod refusals;
#[cfg(unix)]
mod resume;
mod tasks;
mod timing;

#[path = "../support/mp4.rs"]
mod mp4;
