//! Where a job's model comes from: a folder, single files, or the binary itself.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use wan_import::{Checkpoint, Source};
use wan_pipeline::PipelineError;

use super::{EngineError, Request};
use crate::media::TemporaryFolder;

/// The value of `--model`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelPath {
    /// `demo`: the built-in model. A folder of that name is `./demo`.
    Demo,
    Folder(PathBuf),
}

impl From<OsString> for ModelPath {
    fn from(text: OsString) -> Self {
        if text == "demo" { Self::Demo } else { Self::Folder(text.into()) }
    }
}

/// An opened checkpoint, and the folder it was unpacked into if it came out of the binary.
pub struct Model {
    pub checkpoint: Checkpoint,
    // After the checkpoint: some systems do not remove files that are still mapped.
    _unpacked: Option<TemporaryFolder>,
}

impl Model {
    /// Opens what `request` names.
    pub fn open(request: &Request) -> Result<Self, EngineError> {
        let (model, unpacked) = match &request.model {
            Some(path) => {
                let (path, unpacked) = on_disk(path)?;
                (Some(path), unpacked)
            }
            None => (None, None),
        };
        let source = Source {
            model,
            dit: request.dit.clone(),
            dit_high: None,
            vae: request.vae.clone(),
            text_encoder: request.text_encoder.clone(),
            tokenizer: request.tokenizer.clone(),
            image_encoder: None,
        };
        let checkpoint = Checkpoint::open(&source).map_err(PipelineError::from)?;
        Ok(Self { checkpoint, _unpacked: unpacked })
    }
}

/// The model's path, and what must live as long as the path is used.
pub fn on_disk(model: &ModelPath) -> Result<(PathBuf, Option<TemporaryFolder>), EngineError> {
    match model {
        ModelPath::Folder(path) => Ok((path.clone(), None)),
        ModelPath::Demo => {
            let folder = unpack(&std::env::temp_dir())?;
            Ok((folder.path().to_owned(), Some(folder)))
        }
    }
}

#[cfg(feature = "demo")]
fn unpack(parent: &Path) -> Result<TemporaryFolder, EngineError> {
    let failed = |error: &dyn std::fmt::Display| EngineError {
        message: format!("the built-in model cannot be unpacked into {}: {error}", parent.display()),
        hint: Some("make room there, or set TMPDIR to another folder".to_owned()),
        usage: false,
        interrupted: false,
    };
    let folder = TemporaryFolder::new(parent).map_err(|e| failed(&e))?;
    wan_pipeline::demo::unpack(folder.path()).map_err(|e| failed(&e))?;
    Ok(folder)
}

#[cfg(not(feature = "demo"))]
fn unpack(_: &Path) -> Result<TemporaryFolder, EngineError> {
    Err(EngineError {
        message: "this build has no built-in model".to_owned(),
        hint: Some("give a checkpoint folder with --model DIR, or build with the feature `demo`".to_owned()),
        usage: true,
        interrupted: false,
    })
}
