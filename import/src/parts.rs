//! The components of a model other than its transformers: where they lie in folders, and what is said of their absence.

use std::path::{Path, PathBuf};

use crate::{Component, ImportError, Kind, Layout, Source, component, locate};

/// What is said about a component's place, in folders and on the command line.
pub(crate) struct Part {
    pub(crate) name: &'static str,
    pub(crate) expected: &'static str,
    pub(crate) flag: &'static str,
    /// Its folder in a diffusers model.
    pub(crate) folder: &'static str,
    /// Its file in the authors' folder, for the message that it is not there.
    pub(crate) file: &'static str,
    pub(crate) accepts: fn(&Kind) -> bool,
}

pub(crate) const DIT: Part = Part {
    name: "diffusion transformer",
    expected: component::DIT,
    flag: "--dit",
    folder: "transformer",
    file: "diffusion_pytorch_model.safetensors",
    accepts: |kind| matches!(kind, Kind::Dit(_)),
};
const VAE: Part = Part {
    name: "VAE",
    expected: component::VAE,
    flag: "--vae",
    folder: "vae",
    file: locate::OFFICIAL_VAE,
    accepts: |kind| matches!(kind, Kind::Vae21 | Kind::Vae22),
};
const TEXT_ENCODER: Part = Part {
    name: "text encoder",
    expected: component::TEXT_ENCODER,
    flag: "--text-encoder",
    folder: "text_encoder",
    file: locate::OFFICIAL_TEXT_ENCODER,
    accepts: |kind| matches!(kind, Kind::Umt5),
};
const IMAGE_ENCODER: Part = Part {
    name: "CLIP image encoder",
    expected: component::IMAGE_ENCODER,
    flag: "--image-encoder",
    folder: "image_encoder",
    file: locate::OFFICIAL_IMAGE_ENCODER,
    accepts: |kind| matches!(kind, Kind::Clip),
};

impl Part {
    /// Opens the component at `path`.
    pub(crate) fn open(&self, path: &Path) -> Result<Component, ImportError> {
        let component = Component::open(path)?;
        if !(self.accepts)(&component.fingerprint.kind) {
            return Err(component.wrong(self.expected));
        }
        component.check_runnable()?;
        Ok(component)
    }

    /// That it is not in its place in a model's folder, or that it was not given.
    pub(crate) fn missing(&self, layout: Layout, root: Option<&Path>) -> ImportError {
        let place = if layout == Layout::Diffusers { self.folder } else { self.file };
        let looked = root.map(|root| root.join(place)).into_iter().collect();
        ImportError::MissingComponent { component: self.name, looked, flag: self.flag }
    }

    /// Opens the component where it was given, else the one in the model's folder.
    fn find(
        &self,
        layout: Layout,
        root: Option<&Path>,
        given: Option<&Path>,
        official: fn(&Path) -> Option<PathBuf>,
    ) -> Result<Component, ImportError> {
        let found = match (given, root) {
            (Some(given), _) => Some(given.to_owned()),
            (None, Some(root)) if layout == Layout::Diffusers => locate::weights(&root.join(self.folder)),
            (None, Some(root)) => official(root),
            (None, None) => None,
        };
        found.map_or_else(|| Err(self.missing(layout, root)), |path| self.open(&path))
    }
}

/// How the model's folder is laid out, if there is one.
pub(crate) fn layout(source: &Source) -> Result<Layout, ImportError> {
    let Some(root) = &source.model else { return Ok(Layout::Files) };
    let found = std::fs::metadata(root).map_err(|source| ImportError::Io { path: root.clone(), source })?;
    if !found.is_dir() {
        let detail =
            "a model is a folder; single files are given as components (--dit, --vae, --text-encoder)";
        return Err(ImportError::config(root, detail));
    }
    let diffusers = root.join("model_index.json").is_file() || root.join(DIT.folder).is_dir();
    Ok(if diffusers { Layout::Diffusers } else { Layout::Official })
}

/// The autoencoder; of several in the authors' folder, the one with `channels` latent channels.
pub(crate) fn vae(source: &Source, layout: Layout, channels: usize) -> Result<Component, ImportError> {
    let (root, given) = (source.model.as_deref(), source.vae.as_deref());
    if let (None, Some(root), Layout::Official) = (given, root, layout) {
        let found = locate::official_vaes(root);
        if found.len() > 1 {
            let opened = found.iter().map(|path| VAE.open(path)).collect::<Result<Vec<_>, _>>()?;
            let fits = |vae: &Component| vae.vae_config().is_ok_and(|config| config.z_dim == channels);
            let fitting = opened.iter().position(fits).unwrap_or(0);
            return Ok(opened[fitting].clone());
        }
    }
    VAE.find(layout, root, given, |root| locate::official_vaes(root).into_iter().next())
}

pub(crate) fn text_encoder(source: &Source, layout: Layout) -> Result<Component, ImportError> {
    let (root, given) = (source.model.as_deref(), source.text_encoder.as_deref());
    TEXT_ENCODER.find(layout, root, given, locate::official_text_encoder)
}

pub(crate) fn image_encoder(source: &Source, layout: Layout) -> Result<Component, ImportError> {
    let (root, given) = (source.model.as_deref(), source.image_encoder.as_deref());
    IMAGE_ENCODER.find(layout, root, given, locate::official_image_encoder)
}

/// Path of `tokenizer.json`.
pub(crate) fn tokenizer(source: &Source, layout: Layout) -> Result<PathBuf, ImportError> {
    let folder = if layout == Layout::Diffusers { "tokenizer" } else { "google/umt5-xxl" };
    let path = source.tokenizer.clone().or_else(|| source.model.as_ref().map(|root| root.join(folder)));
    let path = path.map(|path| if path.is_dir() { path.join("tokenizer.json") } else { path });
    match path {
        Some(path) if path.is_file() => Ok(path),
        path => {
            let looked = path.into_iter().collect();
            Err(ImportError::MissingComponent { component: "tokenizer", looked, flag: "--tokenizer" })
        }
    }
}
