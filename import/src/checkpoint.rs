//! A model on disk: which files hold its components, whatever the layout.

use std::path::{Path, PathBuf};

use wan_model::{VaeConfig, WanConfig, text::Umt5Config};

use crate::{Component, GenerationConfig, ImportError, Kind, SchedulerConfig, component, locate};

/// Where the user says the model is: a folder, single components, or both, in which case the component wins.
/// A component is a file, an index file or a folder with one of them.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// A diffusers folder, or a folder as the authors publish it.
    pub model: Option<PathBuf>,
    /// The diffusion transformer.
    pub dit: Option<PathBuf>,
    /// The video autoencoder.
    pub vae: Option<PathBuf>,
    /// The text encoder.
    pub text_encoder: Option<PathBuf>,
    /// `tokenizer.json`, or the folder that holds it.
    pub tokenizer: Option<PathBuf>,
}

impl Source {
    /// The image encoder that some models have: `given`, or the one in the model's folder.
    ///
    /// # Errors
    /// As [`Checkpoint::open`], for this one component.
    pub fn image_encoder(&self, given: Option<&Path>) -> Result<Component, ImportError> {
        find(&IMAGE_ENCODER, layout(self)?, self.model.as_deref(), given)
    }
}

/// How a model's folder is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One folder for each component, as the diffusers library writes them.
    Diffusers,
    /// All in one folder, as the authors publish it.
    Official,
    /// No folder: each component by its own path.
    Files,
}

/// A model whose components all exist, can be run, and belong together.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// How the folder is laid out.
    pub layout: Layout,
    /// The diffusion transformer.
    pub dit: Component,
    /// Its configuration.
    pub dit_config: WanConfig,
    /// The video autoencoder.
    pub vae: Component,
    /// Its configuration.
    pub vae_config: VaeConfig,
    /// The text encoder.
    pub text_encoder: Component,
    /// Its configuration.
    pub text_config: Umt5Config,
    /// Path of `tokenizer.json`.
    pub tokenizer: PathBuf,
    /// The scheduler of a diffusers folder.
    pub scheduler: Option<SchedulerConfig>,
    /// Sampling defaults the folder sets.
    pub generation: GenerationConfig,
}

impl Checkpoint {
    /// Finds, maps and recognises every component.
    ///
    /// # Errors
    /// [`ImportError::MissingComponent`], [`ImportError::WrongComponent`], [`ImportError::NotRunnable`], whatever the
    /// readers, [`crate::Fingerprint::of`] and the components' configurations find wrong, and
    /// [`ImportError::Mismatch`] if the components are each good but of different models.
    pub fn open(source: &Source) -> Result<Self, ImportError> {
        let layout = layout(source)?;
        let root = source.model.as_deref();
        check_experts(source)?;
        let dit = find(&DIT, layout, root, source.dit.as_deref())?;
        let vae = find(&VAE, layout, root, source.vae.as_deref())?;
        let text_encoder = find(&TEXT_ENCODER, layout, root, source.text_encoder.as_deref())?;
        let tokenizer = tokenizer(layout, root, source.tokenizer.as_deref())?;
        let scheduler = root.map(|root| root.join("scheduler/scheduler_config.json")).filter(|p| p.is_file());
        let scheduler = scheduler.map(|path| SchedulerConfig::read(&path)).transpose()?;
        let generation = root.map(GenerationConfig::read).transpose()?.unwrap_or_default();
        let (dit_config, vae_config) = (dit.dit_config()?, vae.vae_config()?);
        let text_config = text_encoder.text_config()?;
        let model = Self {
            layout,
            dit,
            dit_config,
            vae,
            vae_config,
            text_encoder,
            text_config,
            tokenizer,
            scheduler,
            generation,
        };
        model.check_widths()?;
        Ok(model)
    }

    /// What goes from one component into the next must have one width.
    fn check_widths(&self) -> Result<(), ImportError> {
        let Self { dit_config: dit, vae_config: vae, text_config: text, .. } = self;
        let against = |other: &Component, what, found, expected| {
            let [path, other] = [other, &self.dit].map(|part| part.source.path().to_owned());
            Err(ImportError::Mismatch { path, other, what, found, expected })
        };
        if vae.z_dim != dit.in_dim {
            return against(&self.vae, "latent channels", vae.z_dim, dit.in_dim);
        }
        if text.d_model != dit.text_dim {
            return against(&self.text_encoder, "values in a row of text", text.d_model, dit.text_dim);
        }
        Ok(())
    }
}

/// What is said about a component's place, in folders and on the command line.
struct Part {
    name: &'static str,
    expected: &'static str,
    flag: &'static str,
    /// Its folder in a diffusers model.
    folder: &'static str,
    /// Its file in the authors' folder, for the message that it is not there.
    file: &'static str,
    official: fn(&Path) -> Option<PathBuf>,
    accepts: fn(&Kind) -> bool,
}

const DIT: Part = Part {
    name: "diffusion transformer",
    expected: component::DIT,
    flag: "--dit",
    folder: "transformer",
    file: "diffusion_pytorch_model.safetensors",
    official: locate::official_dit,
    accepts: |kind| matches!(kind, Kind::Dit(_)),
};
const VAE: Part = Part {
    name: "VAE",
    expected: component::VAE,
    flag: "--vae",
    folder: "vae",
    file: locate::OFFICIAL_VAE,
    official: locate::official_vae,
    accepts: |kind| matches!(kind, Kind::Vae21 | Kind::Vae22),
};
const TEXT_ENCODER: Part = Part {
    name: "text encoder",
    expected: component::TEXT_ENCODER,
    flag: "--text-encoder",
    folder: "text_encoder",
    file: locate::OFFICIAL_TEXT_ENCODER,
    official: locate::official_text_encoder,
    accepts: |kind| matches!(kind, Kind::Umt5),
};
const IMAGE_ENCODER: Part = Part {
    name: "image encoder",
    expected: component::IMAGE_ENCODER,
    flag: "--image-encoder",
    folder: "image_encoder",
    file: locate::OFFICIAL_IMAGE_ENCODER,
    official: locate::official_image_encoder,
    accepts: |kind| matches!(kind, Kind::Clip),
};

fn layout(source: &Source) -> Result<Layout, ImportError> {
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

/// Wan 2.2 A14B and LingBot come as two transformers.
fn check_experts(source: &Source) -> Result<(), ImportError> {
    let Some(root) = source.model.as_ref().filter(|_| source.dit.is_none()) else { return Ok(()) };
    let second =
        ["transformer_2", "low_noise_model"].into_iter().map(|name| root.join(name)).find(|p| p.is_dir());
    match second {
        Some(path) => Err(ImportError::NotRunnable { path, what: "one of two experts".into() }),
        None => Ok(()),
    }
}

fn find(
    part: &Part,
    layout: Layout,
    root: Option<&Path>,
    given: Option<&Path>,
) -> Result<Component, ImportError> {
    let found = match (given, root) {
        (Some(given), _) => Some(given.to_owned()),
        (None, Some(root)) if layout == Layout::Diffusers => locate::weights(&root.join(part.folder)),
        (None, Some(root)) => (part.official)(root),
        (None, None) => None,
    };
    let Some(path) = found else { return Err(missing(part, layout, root)) };
    let component = Component::open(&path)?;
    if !(part.accepts)(&component.fingerprint.kind) {
        return Err(component.wrong(part.expected));
    }
    component.fingerprint.check_runnable(&*component.source)?;
    Ok(component)
}

fn missing(part: &Part, layout: Layout, root: Option<&Path>) -> ImportError {
    let place = if layout == Layout::Diffusers { part.folder } else { part.file };
    let looked = root.map(|root| root.join(place)).into_iter().collect();
    ImportError::MissingComponent { component: part.name, looked, flag: part.flag }
}

fn tokenizer(layout: Layout, root: Option<&Path>, given: Option<&Path>) -> Result<PathBuf, ImportError> {
    let folder = if layout == Layout::Diffusers { "tokenizer" } else { "google/umt5-xxl" };
    let path = given.map(Path::to_owned).or_else(|| root.map(|root| root.join(folder)));
    let path = path.map(|path| if path.is_dir() { path.join("tokenizer.json") } else { path });
    match path {
        Some(path) if path.is_file() => Ok(path),
        path => {
            let looked = path.into_iter().collect();
            Err(ImportError::MissingComponent { component: "tokenizer", looked, flag: "--tokenizer" })
        }
    }
}
