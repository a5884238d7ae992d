//! Checkpoints on disk to modules: readers, key tables, fingerprints.
//!
//! A file is mapped, never read whole. [`Checkpoint::open`] finds the components of a model, [`Component`] says what
//! they are and which dimensions they have, [`load_module`] fills a module with their tensors.

mod checkpoint;
mod config;
mod convert;
mod detect;
mod error;
mod json;
pub mod keys;
mod load;
mod locate;
mod map;
mod models;
mod pickle;
mod safetensors;
mod scheduler;
mod shards;
mod source;
mod tokens;
mod torch;

pub use checkpoint::{Checkpoint, Component, Layout, Source};
pub use config::{DitDims, Umt5Dims, VaeDims};
pub use detect::{DitFacts, DitVariant, Fingerprint, Kind};
pub use error::ImportError;
pub use keys::{KeyTable, Naming};
pub use load::{DtypePolicy, load_module};
pub use models::TextLayers;
pub use scheduler::SchedulerConfig;
pub use source::{Stored, TensorBytes, TensorFile, TensorInfo, TensorSource, open};
pub use tokens::TokenTable;
