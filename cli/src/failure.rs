//! The one error that reaches the terminal.

use std::{fmt, process::ExitCode};

use crate::{engine::EngineError, media::MediaError};

/// Decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Exit code 1.
    Failed,
    /// Exit code 2: the request cannot be carried out as asked, and nothing was started.
    Usage,
    /// Exit code 130.
    Interrupted,
}

/// What went wrong and, where known, the way out. Displays as the `error:` and `hint:` lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub kind: Kind,
    pub message: String,
    pub hint: Option<String>,
}

impl Failure {
    /// A request that is refused before any work.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind: Kind::Usage, message: message.into(), hint: Some(hint.into()) }
    }

    /// Work that did not succeed.
    pub fn failed(message: impl Into<String>) -> Self {
        Self { kind: Kind::Failed, message: message.into(), hint: None }
    }

    /// 1, 2 or 130.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self.kind {
            Kind::Failed => 1,
            Kind::Usage => 2,
            Kind::Interrupted => 130,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Messages of libraries and names of files may hold line breaks.
        let line = |text: &str| text.replace(['\n', '\r'], " ");
        writeln!(f, "error: {}", line(&self.message))?;
        match &self.hint {
            Some(hint) => writeln!(f, "hint: {}", line(hint)),
            None => Ok(()),
        }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        let kind = match (error.interrupted, error.usage) {
            (true, _) => Kind::Interrupted,
            (false, true) => Kind::Usage,
            (false, false) => Kind::Failed,
        };
        Self { kind, message: error.message, hint: error.hint }
    }
}

impl From<MediaError> for Failure {
    fn from(error: MediaError) -> Self {
        let hint = error.hint().map(str::to_owned);
        let kind = if error.is_usage() { Kind::Usage } else { Kind::Failed };
        Self { kind, message: error.to_string(), hint }
    }
}
