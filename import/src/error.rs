//! What can go wrong between a file and a module, and the way out.

use std::path::{Path, PathBuf};

use thiserror::Error;
use wan_model::camera::CameraError;

/// The expert for high noise, as messages call it.
pub(crate) const HIGH_NOISE: &str = "transformer for high noise";
/// The expert for low noise, as messages call it.
pub(crate) const LOW_NOISE: &str = "transformer for low noise";

/// Every failure of this crate. The message names the file and, where there is one, the key; [`Self::hint`] says what
/// to do about it.
#[derive(Debug, Error)]
pub enum ImportError {
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    /// The bytes do not follow their format.
    #[error("{}: not a valid {format} file: {detail}", path.display())]
    Format { path: PathBuf, format: &'static str, detail: String },
    /// A format this crate does not read.
    #[error("{}: {what} files are not supported", path.display())]
    UnsupportedFormat { path: PathBuf, what: &'static str },
    /// A pickle asks for code that a state dict does not need.
    #[error("{}: refused: the pickle asks for `{module}.{name}`", path.display())]
    ForbiddenGlobal { path: PathBuf, module: String, name: String },
    /// The key tables do not know this collection of keys.
    #[error("{}: not a checkpoint this version knows; {}", path.display(), evidence.join("; "))]
    Unrecognised { path: PathBuf, evidence: Vec<String> },
    /// A known network without an implementation.
    #[error("{}: recognised as {what}, which this version cannot run yet", path.display())]
    NotRunnable { path: PathBuf, what: String },
    /// A file in another component's place.
    #[error("{}: expected {expected}, but this is {found}", path.display())]
    WrongComponent { path: PathBuf, expected: &'static str, found: String },
    /// A component is not where it should be.
    #[error("no {component} {}", searched(looked))]
    MissingComponent { component: &'static str, looked: Vec<PathBuf>, flag: &'static str },
    /// A configuration file that is not what it should be.
    #[error("{}: {detail}", path.display())]
    Config { path: PathBuf, detail: String },
    /// The configuration says one thing and the tensors another.
    #[error("{}: the configuration has {field} = {config}, but the tensors have {tensors}", path.display())]
    Conflict { path: PathBuf, field: &'static str, config: String, tensors: String },
    /// Components of different models.
    #[error(
        "{} and {} do not belong together: {found} {what} against {expected}",
        path.display(),
        other.display()
    )]
    Mismatch { path: PathBuf, other: PathBuf, what: &'static str, found: usize, expected: usize },
    /// Two transformers that are no experts of one model.
    #[error(
        "{} and {} are not two experts of one model: {what} {high} against {low}",
        path.display(),
        other.display()
    )]
    ExpertsDiffer { path: PathBuf, other: PathBuf, what: &'static str, high: String, low: String },
    /// An image encoder for a model without one.
    #[error("{}: this transformer takes no image features", path.display())]
    NoImageBranch { path: PathBuf },
    /// Tensors of the module that the file does not have.
    #[error("{}: {count} tensors are missing: {}", path.display(), first.join(", "))]
    MissingTensors { path: PathBuf, count: usize, first: Vec<String> },
    /// Tensors of the file that the module does not have.
    #[error("{}: {count} tensors have no place in the model: {}", path.display(), first.join(", "))]
    UnusedTensors { path: PathBuf, count: usize, first: Vec<String> },
    /// A tensor of another shape.
    #[error("{}: {key} has shape {found:?}, expected {expected:?}", path.display())]
    Shape { path: PathBuf, key: String, expected: Vec<usize>, found: Vec<usize> },
    /// A tensor of a dtype that is not read.
    #[error("{}: {key} has dtype {dtype}; only F64, F32, F16 and BF16 are read", path.display())]
    Dtype { path: PathBuf, key: String, dtype: String },
    /// A weight in fewer bits of a form that is not read.
    #[error("{}: {key} is quantized in a form that is not read: {detail}", path.display())]
    Quantized { path: PathBuf, key: String, detail: String },
    /// A package, or a folder to become one, that is not what it should be.
    #[error("{}: {detail}", path.display())]
    Package { path: PathBuf, detail: String, hint: &'static str },
    /// A file of a package could not be written.
    #[error("writing {}: {source}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    /// The caller ended the work.
    #[error("interrupted")]
    Interrupted,
    /// NaN or infinity in a weight.
    #[error("{}: {key} holds NaN or infinity", path.display())]
    NonFinite { path: PathBuf, key: String },
    /// A finite weight that is infinite in the target dtype.
    #[error("{}: {key} holds a value beyond the range of {target}", path.display())]
    Overflow { path: PathBuf, key: String, target: &'static str },
    /// An array of numbers of another shape or kind.
    #[error("{}: {detail}", path.display())]
    Array { path: PathBuf, detail: String },
    /// A folder without a camera path.
    #[error("{} holds neither poses.npy nor cameras.json", path.display())]
    NoCamera { path: PathBuf },
    /// A camera path the network cannot follow.
    #[error("{}: {source}", path.display())]
    Camera { path: PathBuf, source: CameraError },
    /// A token that the embedding does not have.
    #[error("token {id} is outside the vocabulary of {vocab}")]
    TokenId { id: u32, vocab: usize },
}

impl ImportError {
    /// Advice for the message's own `hint:` line.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::UnsupportedFormat { what: "legacy (not zip) PyTorch", .. } => {
                "save it again with torch 1.6 or later: torch.save(torch.load(file, weights_only=True), file)"
                    .into()
            }
            Self::UnsupportedFormat { .. } => "use a safetensors file".into(),
            Self::ForbiddenGlobal { .. } => {
                "do not load this file elsewhere unless you trust it; use a safetensors file".into()
            }
            Self::Format { .. } => "the file may be truncated: compare its size and download it again".into(),
            Self::NonFinite { .. } => "the file is damaged: download it again".into(),
            Self::Overflow { target, .. } if *target == "F16" => "run with --dtype f32".into(),
            Self::Dtype { dtype, .. } if dtype.starts_with("F8") => {
                "use the fp16 or bf16 variant of this checkpoint".into()
            }
            Self::MissingComponent { component: HIGH_NOISE | LOW_NOISE, flag, .. } => format!(
                "give its path with {flag}, or the same file with --dit and --dit-high to run one expert for all steps"
            ),
            Self::MissingComponent { flag, .. } => format!("give its path with {flag}"),
            Self::Mismatch { .. } | Self::ExpertsDiffer { .. } => "take both from the same model".into(),
            Self::Conflict { .. } => "the configuration belongs to another checkpoint".into(),
            Self::Array { .. } => "write it with numpy: np.save(file, array.astype(np.float32))".into(),
            Self::Quantized { .. } => "use a checkpoint in nf4, int8 or floats".into(),
            Self::Package { hint, .. } => (*hint).into(),
            Self::Write { source, .. } if is_full(source) => {
                "free some space and run the same command again: finished files are kept".into()
            }
            Self::NoCamera { .. } => "`wan camera make -o DIR` makes a camera path".into(),
            Self::Camera { source, .. } => return source.hint(),
            Self::Unrecognised { .. } | Self::WrongComponent { .. } => {
                "`wan inspect FILE` says what a file is".into()
            }
            Self::Config { .. } => "mend the file, or download it again".into(),
            Self::MissingTensors { .. } | Self::UnusedTensors { .. } | Self::Shape { .. } => {
                "the file may be cut, or of another model than its configuration: download both again".into()
            }
            Self::TokenId { .. } => "take tokenizer and text encoder from the same model".into(),
            Self::Io { source, .. } | Self::Write { source, .. } => return io_hint(source),
            _ => return None,
        };
        Some(hint)
    }

    pub(crate) fn format(path: &Path, format: &'static str, detail: impl Into<String>) -> Self {
        Self::Format { path: path.to_owned(), format, detail: detail.into() }
    }

    pub(crate) fn config(path: &Path, detail: impl Into<String>) -> Self {
        Self::Config { path: path.to_owned(), detail: detail.into() }
    }
}

fn io_hint(error: &std::io::Error) -> Option<String> {
    use std::io::ErrorKind::{NotFound, PermissionDenied};
    match error.kind() {
        NotFound => Some("check the path".into()),
        PermissionDenied => Some("check who may read and write there".into()),
        _ => None,
    }
}

pub(crate) fn is_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

fn searched(paths: &[PathBuf]) -> String {
    let paths: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    if paths.is_empty() { "given".into() } else { format!("found; looked for {}", paths.join(", ")) }
}
