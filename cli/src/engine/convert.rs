//! Packages: written from a checkpoint, and checked.

use std::{ops::ControlFlow, path::Path};

use burn::tensor::FloatDType;
use clap::ValueEnum;
use wan_import::{Checkpoint, Conversion, ImportError, PackagePlan, Part, Source, verify_package};
pub use wan_import::{Converted, Made, WeightError};
use wan_pipeline::{CancelToken, PipelineError};

use super::{EngineError, ModelPath, model};
use crate::settings::Quant;

/// Of large matrices that are not quantized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StoredDtype {
    /// that of the checkpoint
    Auto,
    F32,
    F16,
    Bf16,
}

/// A component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum PartChoice {
    Transformer,
    TextEncoder,
    Vae,
    ImageEncoder,
    Tokenizer,
}

/// What the package is made of, and how.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    pub model: &'a ModelPath,
    pub quant: Quant,
    pub dtype: StoredDtype,
    /// All if empty.
    pub only: &'a [PartChoice],
    /// Whether errors are computed.
    pub report: bool,
}

/// A package, and bytes of the tensors it was made of.
#[derive(Clone, Debug)]
pub struct Package {
    pub source_bytes: u64,
    pub made: Made,
}

/// Writes a package into `output`.
pub fn convert(
    request: &Request<'_>,
    output: &Path,
    cancel: &CancelToken,
    observe: &mut dyn FnMut(Converted<'_>),
) -> Result<Package, EngineError> {
    let (model, _unpacked) = model::on_disk(request.model)?;
    let source = Source { model: Some(model.clone()), ..Source::default() };
    let checkpoint = Checkpoint::open(&source).map_err(engine_error)?;
    let plan = PackagePlan::new(&checkpoint, &model, &conversion(request)).map_err(engine_error)?;
    let made = plan.make(output, &mut |event| {
        observe(event);
        go_on(cancel)
    });
    Ok(Package { source_bytes: plan.source_bytes(), made: made.map_err(engine_error)? })
}

/// Compares the checksums of a package; `observe` gets the bytes read and those of all.
pub fn verify(
    path: &ModelPath,
    cancel: &CancelToken,
    observe: &mut dyn FnMut(u64, u64),
) -> Result<(), EngineError> {
    let (path, _unpacked) = model::on_disk(path)?;
    let mut done = 0;
    let verified = verify_package(&path, &mut |bytes, total| {
        done += bytes as u64;
        observe(done, total);
        go_on(cancel)
    });
    verified.map_err(engine_error)
}

pub(super) fn go_on(cancel: &CancelToken) -> ControlFlow<()> {
    if cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

fn conversion(request: &Request<'_>) -> Conversion {
    let dtype = match request.dtype {
        StoredDtype::Auto => None,
        StoredDtype::F32 => Some(FloatDType::F32),
        StoredDtype::F16 => Some(FloatDType::F16),
        StoredDtype::Bf16 => Some(FloatDType::BF16),
    };
    let only = request.only.iter().map(|&part| part.into()).collect();
    Conversion { quant: request.quant.weights(), dtype, only, report: request.report }
}

impl From<PartChoice> for Part {
    fn from(part: PartChoice) -> Self {
        match part {
            PartChoice::Transformer => Self::Transformer,
            PartChoice::TextEncoder => Self::TextEncoder,
            PartChoice::Vae => Self::Vae,
            PartChoice::ImageEncoder => Self::ImageEncoder,
            PartChoice::Tokenizer => Self::Tokenizer,
        }
    }
}

fn engine_error(error: ImportError) -> EngineError {
    match error {
        ImportError::Interrupted => PipelineError::Cancelled.into(),
        error => PipelineError::from(error).into(),
    }
}
