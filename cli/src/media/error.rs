//! What can go wrong with an output file.

use std::{
    io,
    path::{Path, PathBuf},
};

use image::ImageError;

/// Names the file or the property at fault; [`Self::hint`] gives the way out.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    #[error("{} exists", path.display())]
    Exists { path: PathBuf },
    #[error("{} is not a folder", path.display())]
    NoFolder { path: PathBuf },
    #[error("nothing can be written to {}: {source}", path.display())]
    Unwritable { path: PathBuf, source: io::Error },
    #[error("{}: .webm is not supported", path.display())]
    Webm { path: PathBuf },
    #[error("{}: the kind of file is not known from the name", path.display())]
    Extension { path: PathBuf },
    #[error("{}: one .png holds one frame", path.display())]
    OnePng { path: PathBuf },
    #[error("{}: the pattern needs exactly one number such as %04d in the file name", path.display())]
    Pattern { path: PathBuf },
    #[error("H.264 needs an even width and height, not {width}x{height}")]
    OddSize { width: u32, height: u32 },
    #[error("{width}x{height} is too large for {kind}")]
    TooLarge { kind: &'static str, width: u32, height: u32 },
    #[error("a frame of {width}x{height} came where {expected_width}x{expected_height} was planned")]
    FrameSize { width: u32, height: u32, expected_width: u32, expected_height: u32 },
    #[error("no frame was written")]
    Empty,
    #[error("writing {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{what}: {reason}")]
    Encode { what: &'static str, reason: String },
}

impl MediaError {
    /// The way out, where there is one.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Exists { .. } => "choose another name with -o, or pass --overwrite",
            Self::NoFolder { .. } => "create the folder first",
            Self::Unwritable { .. } => "choose another place with -o",
            Self::Webm { .. } => "use .mp4",
            Self::Extension { .. } => "use .mp4, .gif, .webp, .png or a folder",
            Self::OnePng { .. } => "use --frames 1, a pattern such as frame_%04d.png, or a folder",
            Self::Pattern { .. } => "for example frame_%04d.png",
            Self::OddSize { .. } => "use an even --size, or .webp or .png",
            Self::TooLarge { .. } => "use a folder of .png files",
            Self::Write { source, .. } if is_full(source) => "free some space, or choose another place",
            Self::Write { .. } => "choose another place with -o",
            _ => return None,
        })
    }

    /// Whether the request was at fault.
    pub fn is_usage(&self) -> bool {
        !matches!(self, Self::FrameSize { .. } | Self::Empty | Self::Write { .. } | Self::Encode { .. })
    }

    pub(super) fn encode(what: &'static str, reason: impl ToString) -> Self {
        Self::Encode { what, reason: reason.to_string() }
    }

    /// An encoder's error, or the writing error beneath it.
    pub(super) fn image(what: &'static str, path: &Path, error: ImageError) -> Self {
        match error {
            ImageError::IoError(source) => Self::Write { path: path.to_owned(), source },
            error => Self::encode(what, error),
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}
