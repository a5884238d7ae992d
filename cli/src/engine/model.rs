//! Where a job's model comes from: a folder, single files, or the binary itself.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use wan_import::{Checkpoint, HubId, Source};
use wan_pipeline::PipelineError;

use super::{EngineError, hub};
use crate::{media::TemporaryFolder, settings::Settings};

/// The value of `--model`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "PathBuf", from = "PathBuf")]
pub enum ModelPath {
    /// `demo`: the built-in model. A folder of that name is `./demo`.
    Demo,
    Folder(PathBuf),
    /// A model of the hub. A folder of that name wins.
    Hub(HubId),
}

impl From<OsString> for ModelPath {
    fn from(text: OsString) -> Self {
        if text == "demo" {
            return Self::Demo;
        }
        let id = text.to_str().and_then(|text| text.parse().ok());
        match id.filter(|_| !Path::new(&text).exists()) {
            Some(id) => Self::Hub(id),
            None => Self::Folder(text.into()),
        }
    }
}

impl From<PathBuf> for ModelPath {
    fn from(path: PathBuf) -> Self {
        path.into_os_string().into()
    }
}

impl From<ModelPath> for PathBuf {
    fn from(model: ModelPath) -> Self {
        match model {
            ModelPath::Demo => "demo".into(),
            ModelPath::Folder(path) => path,
            ModelPath::Hub(id) => id.to_string().into(),
        }
    }
}

/// An opened checkpoint, and the folder it was unpacked into if it came out of the binary.
pub struct Model {
    pub checkpoint: Checkpoint,
    // After the checkpoint: some systems do not remove files that are still mapped.
    _unpacked: Option<TemporaryFolder>,
}

impl Model {
    /// Opens what `settings` name.
    pub fn open(settings: &Settings) -> Result<Self, EngineError> {
        let (model, unpacked) = match &settings.model {
            Some(path) => {
                let (path, unpacked) = on_disk(path)?;
                (Some(path), unpacked)
            }
            None => (None, None),
        };
        let source = Source {
            model,
            dit: settings.dit.clone(),
            dit_high: settings.dit_high.clone(),
            vae: settings.vae.clone(),
            text_encoder: settings.text_encoder.clone(),
            image_encoder: settings.image_encoder.clone(),
            tokenizer: settings.tokenizer.clone(),
        };
        let checkpoint = Checkpoint::open(&source).map_err(PipelineError::from)?;
        Ok(Self { checkpoint, _unpacked: unpacked })
    }
}

/// The model's path, and what must live as long as the path is used.
pub fn on_disk(model: &ModelPath) -> Result<(PathBuf, Option<TemporaryFolder>), EngineError> {
    match model {
        ModelPath::Folder(path) => Ok((path.clone(), None)),
        ModelPath::Hub(id) => Ok((hub::downloaded(id)?, None)),
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
