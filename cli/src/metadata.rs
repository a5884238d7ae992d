//! What a file says about its making: version, settings, models.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    Failure,
    media::{Container, Output},
    settings::Settings,
};

/// With it a run can be repeated.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Metadata {
    /// Version of the program.
    pub wan: String,
    /// As the run used them: those given, the model's own, and the seed that was drawn.
    pub settings: Settings,
    /// Those that were given.
    pub given: Settings,
    #[serde(default)]
    pub models: Vec<ModelFile>,
}

/// A file of the model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFile {
    /// `transformer`, `transformer_high`, `vae`, `text_encoder`, `image_encoder` or `tokenizer`.
    pub component: String,
    /// Name without folders.
    pub file: String,
    pub bytes: u64,
    pub hash: String,
}

/// Why a file's settings cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    #[error("{} cannot be read: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} carries no settings of wan", path.display())]
    Absent { path: PathBuf },
    #[error("{}: this version cannot use the settings that wan {version} wrote: {reason}", path.display())]
    Foreign { path: PathBuf, version: String, reason: String },
}

impl Metadata {
    /// Of a run of this version.
    pub fn new(settings: Settings, given: Settings, models: Vec<ModelFile>) -> Self {
        Self { wan: env!("CARGO_PKG_VERSION").to_owned(), settings, given, models }
    }

    /// As an object of what there is.
    ///
    /// # Errors
    /// A path that is no UTF-8.
    pub fn to_json(&self) -> serde_json::Result<Value> {
        let Self { wan, settings, given, models } = self;
        Ok(json!({"wan": wan, "settings": settings.to_map()?, "given": given.to_map()?, "models": models}))
    }

    /// What the clip at `path` says: a file, a folder of numbered pictures, or the pattern of their names.
    pub fn of(path: &Path) -> Result<Self, MetadataError> {
        let absent = || MetadataError::Absent { path: path.to_owned() };
        let value = text(path)?.as_deref().and_then(own).ok_or_else(absent)?;
        let version = value["wan"].as_str().unwrap_or_default().to_owned();
        serde_json::from_value(value).map_err(|error| MetadataError::Foreign {
            path: path.to_owned(),
            version,
            reason: error.to_string(),
        })
    }

    /// The components that have other files in `models`.
    pub fn other_components(&self, models: &[ModelFile]) -> BTreeSet<String> {
        let hashes = |files: &[ModelFile], component: &str| -> BTreeSet<String> {
            files.iter().filter(|file| file.component == component).map(|file| file.hash.clone()).collect()
        };
        let all = self.models.iter().chain(models).map(|file| file.component.clone());
        all.filter(|component| hashes(&self.models, component) != hashes(models, component)).collect()
    }
}

/// Whether `path` is a clip: a file of a known kind, or numbered pictures.
pub fn is_clip(path: &Path) -> bool {
    first_file(path).is_some_and(|file| matches!(Container::of(&file), Ok(Some(_))))
}

/// The text of the clip, if it carries one.
fn text(path: &Path) -> Result<Option<String>, MetadataError> {
    let failed = |source| MetadataError::Read { path: path.to_owned(), source };
    let Some(file) = first_file(path) else { return Err(failed(io::ErrorKind::NotFound.into())) };
    match Container::of(&file).map_err(failed)? {
        Some(container) => container.read(&file).map_err(failed),
        None => Ok(None),
    }
}

/// The file itself, or the first of numbered pictures.
fn first_file(path: &Path) -> Option<PathBuf> {
    match Output::parse(path) {
        Ok(Output::Sequence(pattern)) => pattern.taken().into_iter().min(),
        _ => Some(path.to_owned()).filter(|path| path.is_file()),
    }
}

/// The object in a text of this program; none in any other text.
fn own(text: &str) -> Option<Value> {
    let value: Value = serde_json::from_str(text).ok()?;
    value.get("wan")?.as_str()?;
    Some(value)
}

impl From<MetadataError> for Failure {
    fn from(error: MetadataError) -> Self {
        let hint = match error {
            MetadataError::Read { .. } => "give a clip that wan wrote",
            MetadataError::Absent { .. } => {
                "files of `wan generate` carry them, unless --no-metadata or another program took them away"
            }
            MetadataError::Foreign { .. } => "`wan inspect` of that version prints them",
        };
        Self::usage(error.to_string(), hint)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn file(component: &str, hash: &str) -> ModelFile {
        ModelFile { component: component.into(), file: "a".into(), bytes: 1, hash: hash.into() }
    }

    #[test]
    fn what_is_written_is_read() {
        let settings = Settings { prompt: Some("a fox".into()), seed: Some(u64::MAX), ..Settings::default() };
        let given = Settings { seed: None, ..settings.clone() };
        let metadata = Metadata::new(settings, given, vec![file("vae", "x")]);
        let json = metadata.to_json().unwrap();
        assert!(json["given"].get("seed").is_none());
        assert_eq!(serde_json::from_value::<Metadata>(json).unwrap(), metadata);
    }

    #[test]
    fn other_texts_are_not_taken_for_settings() {
        for text in ["", "{}", "{\"wan\": 1}", "made by hand", "[\"wan\"]"] {
            assert_eq!(own(text), None, "{text}");
        }
        assert!(own("{\"wan\": \"9.9.9\"}").is_some());
    }

    #[test]
    fn a_component_differs_by_its_hashes() {
        let models = vec![file("vae", "x"), file("transformer", "a"), file("transformer", "b")];
        let metadata = Metadata::new(Settings::default(), Settings::default(), models.clone());
        assert!(metadata.other_components(&models).is_empty());
        let swapped = [file("vae", "y"), models[2].clone(), models[1].clone()];
        assert_eq!(Vec::from_iter(metadata.other_components(&swapped)), ["vae"]);
        assert_eq!(metadata.other_components(&[]).len(), 2);
    }
}
