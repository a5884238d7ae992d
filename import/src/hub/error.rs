//! What can go wrong between the hub and the cache, and the way out.

use std::{io, path::PathBuf};

use thiserror::Error;

use crate::error::is_full;

/// Every failure of a download. [`Self::hint`] says what to do about it.
#[derive(Debug, Error)]
pub enum HubError {
    /// No name of a model.
    #[error("`{text}` is not the name of a model on the hub")]
    Id { text: String },
    /// There is no folder for the cache.
    #[error("no folder for downloaded models: the home folder is not known")]
    NoCache,
    /// Downloading is switched off, and the model is not there.
    #[error("HF_HUB_OFFLINE is set, and {id} is not in {}", cache.display())]
    Offline { id: String, cache: PathBuf },
    /// Nothing answers.
    #[error("{endpoint} cannot be reached: {detail}")]
    Unreachable { endpoint: String, detail: String },
    /// The hub knows no such model, or does not say so to everybody.
    #[error("{endpoint} has no model {id} that you may see")]
    NotFound { endpoint: String, id: String, token: bool },
    /// The model has no such branch, tag or commit.
    #[error("{id} has no revision `{revision}`")]
    NoRevision { id: String, revision: String },
    /// The model is there, but not for everybody.
    #[error("{endpoint} does not hand out {id} to {}", if *token { "this token" } else { "strangers" })]
    Denied { endpoint: String, id: String, token: bool },
    /// An answer of the hub that no retry changes.
    #[error("{url}: the server answers {status}")]
    Answer { url: String, status: u16 },
    /// An answer of the hub that makes no sense.
    #[error("{url}: {detail}")]
    Malformed { url: String, detail: String },
    /// The model has none of the files that are needed.
    #[error("{id} has no {what} in a form that is read")]
    NoFiles { id: String, what: String },
    /// A file that was asked for by name.
    #[error("{id} has no file `{path}`")]
    NoFile { id: String, path: String },
    /// Only some components of a package were asked for.
    #[error("{id} is a package of `wan convert`, which is used as a whole")]
    Package { id: String },
    /// The connection failed again and again without a byte between.
    #[error("{path}: no progress after {attempts} tries: {detail}")]
    GaveUp { path: String, attempts: u32, detail: String },
    /// What came is not what was promised.
    #[error(
        "{path}: what the server sends does not have the checksum that it names, {attempts} times in a row"
    )]
    Checksum { path: String, attempts: u32 },
    /// The cache could not be written or read.
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    /// The caller ended the work.
    #[error("interrupted")]
    Interrupted,
}

impl HubError {
    /// Advice for the message's own `hint:` line.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Id { .. } => "give it as owner/name, for example Wan-AI/Wan2.1-T2V-1.3B-Diffusers".into(),
            Self::NoCache => "set HF_HOME to a folder".into(),
            Self::Offline { id, .. } => format!("unset HF_HUB_OFFLINE and run `wan pull {id}`"),
            Self::Unreachable { .. } => {
                "check the network, HTTPS_PROXY and HF_ENDPOINT; HF_HUB_OFFLINE=1 uses what was downloaded before"
                    .into()
            }
            Self::NotFound { token: false, .. } => {
                "check the spelling; for a private model set HF_TOKEN to an access token".into()
            }
            Self::NotFound { .. } => "check the spelling, and that the token belongs to somebody who sees it".into(),
            Self::NoRevision { .. } => "give the name of a branch, a tag, or a whole commit hash".into(),
            Self::Denied { endpoint, id, token: false } => {
                format!("accept its conditions at {endpoint}/{id} and set HF_TOKEN to an access token")
            }
            Self::Denied { endpoint, id, .. } => {
                format!("accept its conditions at {endpoint}/{id}, with the account of the token in HF_TOKEN")
            }
            Self::NoFiles { .. } => {
                "take what is there with --only, or single files with --file PATH".into()
            }
            Self::NoFile { id, .. } => format!("`wan pull {id} --all --dry-run` names all files"),
            Self::Package { .. } => "leave --only out".into(),
            Self::GaveUp { .. } => "run the same command again: it goes on where it stopped".into(),
            Self::Checksum { .. } => "try again later, or another HF_ENDPOINT".into(),
            Self::Io { source, .. } if is_full(source) => {
                "free some space, or set HF_HOME to another disk, and run the same command again: it goes on where it stopped"
                    .into()
            }
            Self::Io { .. } => "HF_HOME chooses another folder".into(),
            Self::Answer { status: 500.., .. } => "try again later".into(),
            _ => return None,
        };
        Some(hint)
    }
}
