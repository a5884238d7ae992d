//! Checkpoints on disk to modules: readers, key tables, fingerprints.
//!
//! A file is mapped, never read whole. [`Checkpoint::open`] finds the components of a model, [`Component`] says what
//! they are and how they are configured, [`load_module`] fills a module with their tensors.

mod bounded;
mod camera;
mod checkpoint;
mod component;
mod config;
mod convert;
mod detect;
mod error;
mod experts;
mod fingerprint;
mod generation;
mod hub;
mod json;
pub mod keys;
mod load;
mod locate;
mod map;
mod models;
mod noise;
mod npy;
mod package;
mod packed;
mod pages;
mod parts;
mod pickle;
mod pipeline;
mod preset;
mod quant;
mod safetensors;
mod scheduler;
mod shards;
mod source;
mod tiny;
mod tokens;
mod torch;
mod weigh;

pub use camera::{ACTIONS, camera_files, read_camera};
pub use checkpoint::{Checkpoint, Layout, Source};
pub use component::Component;
pub use detect::{DitFacts, DitVariant, Fingerprint, Kind};
pub use error::ImportError;
pub use fingerprint::{FileHash, hash_file};
pub use generation::GenerationConfig;
pub use hub::{Hub, HubError, HubFile, HubId, Patience, Pull, Pulled, Token, Wanted, hub_listing};
pub use keys::{KeyTable, Naming, VaeStages};
pub use load::{DtypePolicy, load_module, load_network};
pub use models::TextLayers;
pub use package::{
    Conversion, Converted, Made, Part, Plan as PackagePlan, WeightError, finished as finished_files,
    planned_bytes, verify as verify_package,
};
pub use packed::Packed;
pub use pages::BlockPages;
pub use pipeline::PipelineConfig;
pub use quant::{INT8_BLOCK, Quant, packed_matrix};
pub use scheduler::SchedulerConfig;
pub use source::{Stored, TensorBytes, TensorFile, TensorInfo, TensorSource, open};
pub use tiny::load_tiny_decoder;
pub use tokens::TokenTable;
pub use weigh::WeightBytes;
