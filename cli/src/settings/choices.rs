//! Settings with a fixed set of values.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// Which sampler integrates the latents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Solver {
    /// UniPC, second order
    Unipc,
    /// DPM-Solver++ 2M
    #[value(name = "dpm++")]
    #[serde(rename = "dpm++")]
    DpmPlusPlus,
    /// Euler
    Euler,
}

/// What is made from what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// what the checkpoint is for
    #[default]
    Auto,
    /// text to video
    T2v,
    /// first frame and text to video
    I2v,
    /// first frame, last frame and text to video
    Flf2v,
    /// text, and a first frame or none, to video
    Ti2v,
    /// first frame, text and camera path to a walk through that world
    World,
}

/// Whose sigma grid, sizing rules and preparation of pictures apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// what the checkpoint's layout implies
    #[default]
    Auto,
    /// the official code's
    Official,
    /// diffusers', with the values of its scheduler_config.json
    Diffusers,
}

/// Precision of matmul inputs and weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DtypeChoice {
    /// the best the device computes in
    #[default]
    Auto,
    F32,
    F16,
    Bf16,
}

/// Precision of what the VAE holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VaeDtype {
    #[default]
    F32,
    F16,
}

/// In how many bits large layers are held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quant {
    /// those of --dtype
    #[default]
    None,
    /// eight, a scale for 256 values of a row
    Int8,
    /// four, bitsandbytes' code book for 64 values
    Nf4,
}

/// What waits on the host for its turn on the device. Text encoder, image encoder, transformers and VAE always take
/// turns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Offload {
    /// the components, and the blocks too if there is no room for them
    #[default]
    Auto,
    /// the same as model: components take turns whatever there is room for
    None,
    /// the components that are not at work
    Model,
    /// the blocks of the transformer too, but for two
    Block,
}
