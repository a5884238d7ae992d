//! Packages: a model's folder written by `wan convert`, its large linear layers in fewer bits.
//!
//! A package has a folder for each component, as diffusers names them, whatever the source's layout; keys stay the
//! source's. Weights in four bits lie in it as bitsandbytes writes them, `X.weight` with `.absmax`, `.nested_absmax`,
//! `.nested_quant_map`, `.quant_map` and `.quant_state.bitsandbytes__nf4` behind it; weights in eight bits as
//! `X.weight`, I8 `[n, k]`, with `X.weight.scales`, F16 `[n, k / 256]`. `wan_package.json` comes last and names every
//! other file with length and checksum; before that there is `wan_package.partial.json` with what is finished.

mod layout;
mod make;
mod manifest;
mod plan;
mod quantize;
mod shard;

use burn::tensor::FloatDType;

use crate::Quant;
pub use make::{Converted, Made, WeightError};
pub(crate) use manifest::read;
pub use manifest::{finished, verify};
pub use plan::{Plan, planned_bytes};

/// How a package is made.
#[derive(Clone, Debug, Default)]
pub struct Conversion {
    /// In how many bits the large linear layers of transformers and text encoder are held; as they are if `None`.
    pub quant: Option<Quant>,
    /// Of large matrices that are not quantized, as they are if `None`. Small tensors become f32.
    pub dtype: Option<FloatDType>,
    /// Components that the package gets; all if empty. What is left out has to be given by a path of its own when the
    /// package is used.
    pub only: Vec<Part>,
    /// Whether to compute the error of each quantized weight.
    pub report: bool,
}

/// A component of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Both, where there are two.
    Transformer,
    TextEncoder,
    Vae,
    ImageEncoder,
    Tokenizer,
}

impl Conversion {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}
