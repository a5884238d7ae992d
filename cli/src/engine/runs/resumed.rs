//! A run as it was left.

use std::path::{Path, PathBuf};

use wan_import::{FileHash, hash_file};
use wan_pipeline::Snapshot;

use super::{Decoded, FILE, Header, Input, Run, RunError, folder, list, read};
use crate::settings::Settings;

/// What a run goes on from.
#[derive(Debug)]
pub struct Resumed {
    pub header: Header,
    pub snapshot: Snapshot,
    /// Its folder, unless the state was given as a file from elsewhere.
    pub run: Option<Run>,
    pub decoded: Option<Decoded>,
}

impl Resumed {
    /// The file that `name` means: `latest`, a run's name, its folder, or the file itself.
    ///
    /// # Errors
    /// [`RunError::Unknown`], [`RunError::None`].
    pub fn find(name: &str) -> Result<PathBuf, RunError> {
        if name == "latest" {
            let newest = list().into_iter().find(|run| !run.busy && run.header.is_ok());
            return newest.map(|run| run.folder.join(FILE)).ok_or(RunError::None);
        }
        let path = PathBuf::from(name);
        let inside = folder().map(|root| root.join(name)).filter(|_| path.components().count() == 1);
        let folders = inside.into_iter().chain([path.clone()]).map(|folder| folder.join(FILE));
        let known = folders.chain([path]).find(|path| path.is_file());
        known.ok_or_else(|| RunError::Unknown { name: name.to_owned() })
    }

    /// Reads a state and, if it lies in a run's folder, takes that.
    ///
    /// # Errors
    /// As [`read`], and [`RunError::Busy`].
    pub fn open(state: &Path) -> Result<Self, RunError> {
        let inside = state.parent().filter(|parent| is_run(parent) && state.ends_with(FILE));
        let run = inside.map(Run::open).transpose()?;
        let (header, snapshot) = read(state)?;
        let all = header.step == header.steps;
        let decoded = run.as_ref().filter(|_| all).and_then(|run| Decoded::open(run.folder()));
        let decoded = decoded.filter(|decoded| decoded.floats() == header.dump.is_some());
        Ok(Self { header, snapshot, run, decoded })
    }

    /// Refuses other weights and other inputs than those the run began with.
    ///
    /// # Errors
    /// [`RunError::Changed`], and [`RunError::Model`] if an input cannot be read.
    pub fn check_files(&self, weights: &[FileHash]) -> Result<(), RunError> {
        let Header { weights: before, inputs, .. } = &self.header;
        let same = |a: &FileHash, b: &FileHash| (&a.component, &a.hash) == (&b.component, &b.hash);
        if let Some(other) = weights.iter().zip(before).find(|(now, then)| !same(now, then)) {
            return Err(changed(&other.0.path));
        }
        if weights.len() != before.len() {
            return Err(RunError::Changed { what: "the set of the model's files".to_owned() });
        }
        for (now, then) in hash_inputs(&self.header.settings)?.iter().zip(inputs) {
            if now.hash != then.hash {
                return Err(changed(&now.path));
            }
        }
        Ok(())
    }
}

fn changed(path: &Path) -> RunError {
    RunError::Changed { what: path.display().to_string() }
}

/// Whether a folder lies where runs do.
fn is_run(folder: &Path) -> bool {
    let (Some(root), Some(parent)) = (super::folder(), folder.parent()) else { return false };
    match (root.canonicalize(), parent.canonicalize()) {
        (Ok(root), Ok(parent)) => root == parent,
        _ => false,
    }
}

/// The files that settings name besides the model's.
///
/// # Errors
/// [`RunError::Model`] if one cannot be read.
pub fn hash_inputs(settings: &Settings) -> Result<Vec<Input>, RunError> {
    let Settings { image, last_image, camera, noise, .. } = settings;
    let camera = camera.as_deref().map(camera_files).unwrap_or_default();
    let paths = [image, last_image, noise].into_iter().flatten().cloned().chain(camera);
    let hash = |path: PathBuf| {
        let hash = hash_file(&path).map_err(|error| RunError::Model(error.to_string()))?;
        Ok(Input { path, hash })
    };
    paths.map(hash).collect()
}

/// The file of a camera path, or those of its folder that may be read.
fn camera_files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let names = ["poses.npy", "intrinsics.npy", wan_import::ACTIONS, "cameras.json"];
    names.iter().map(|name| path.join(name)).filter(|path| path.is_file()).collect()
}
