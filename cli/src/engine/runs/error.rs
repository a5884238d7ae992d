//! What can go wrong with a run's state.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{Failure, Kind, media::MediaError};

/// Names the file or run at fault; [`Self::hint`] gives the way out.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("the state of this run cannot be kept: {0}")]
    Media(#[from] MediaError),
    #[error("the state of this run cannot be kept: writing {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}: not a whole state of a run: {detail}", path.display())]
    Damaged { path: PathBuf, detail: String },
    #[error("{}: a state of {found}; this version reads {known}", path.display())]
    Version { path: PathBuf, found: String, known: String },
    #[error("run {id} is under way in another process")]
    Busy { id: String },
    #[error("there is no run {name}")]
    Unknown { name: String },
    #[error("there is no run to go on with")]
    None,
    #[error("the system names no folder for states")]
    NoFolder,
    #[error("{0}")]
    Model(String),
    /// An input or a file of the model.
    #[error("{what} is not what this run began with")]
    Changed { what: String },
}

impl RunError {
    /// The way out, where there is one.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Media(MediaError::Write { source, .. }) | Self::Write { source, .. } if is_full(source) => {
                "free some space, for example with `wan runs`, or set WAN_STATE=DIR to another place"
            }
            Self::Media(error) => return error.hint(),
            Self::Write { .. } => {
                "set WAN_STATE=DIR to another place, or leave states out with --save-every 0"
            }
            Self::Damaged { .. } => "begin again with `wan generate`; `wan runs rm ID` removes it",
            Self::Version { .. } => "use the version of wan that wrote it",
            Self::Busy { .. } => "wait for it, or stop it with Ctrl-C",
            Self::Unknown { .. } | Self::None => "see `wan runs`",
            Self::NoFolder => "set WAN_STATE=DIR",
            Self::Changed { .. } => "put it back as it was, or begin again with `wan generate`",
            Self::Read { .. } | Self::Model(_) => return None,
        })
    }

    /// Whether nothing was begun for it.
    pub fn is_usage(&self) -> bool {
        !matches!(self, Self::Media(_) | Self::Write { .. } | Self::Read { .. })
    }

    pub(super) fn write(path: &Path, source: io::Error) -> Self {
        Self::Write { path: path.to_owned(), source }
    }

    pub(super) fn read(path: &Path, source: io::Error) -> Self {
        Self::Read { path: path.to_owned(), source }
    }

    pub(super) fn damaged(path: &Path, detail: impl ToString) -> Self {
        Self::Damaged { path: path.to_owned(), detail: detail.to_string() }
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        let kind = if error.is_usage() { Kind::Usage } else { Kind::Failed };
        Self { hint: error.hint().map(str::to_owned), message: error.to_string(), kind }
    }
}

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}
