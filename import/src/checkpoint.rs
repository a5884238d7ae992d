//! A model on disk: which files hold its components, whatever the layout.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::Value;

use crate::{
    DitDims, Fingerprint, ImportError, KeyTable, Kind, SchedulerConfig, TensorSource, TokenTable, Umt5Dims,
    VaeDims, config::Settings, json, locate, source,
};

/// Largest `config.json` that is read, in bytes.
const MAX_CONFIG: u64 = 1 << 20;

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

/// An opened component: mapped, recognised, nothing loaded yet.
#[derive(Clone, Debug)]
pub struct Component {
    /// Its tensors.
    pub source: Arc<dyn TensorSource>,
    /// Its `config.json`, and where that lies.
    pub config: Option<(PathBuf, Value)>,
    /// What it is.
    pub fingerprint: Fingerprint,
}

/// A model whose components all exist and can be run.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// How the folder is laid out.
    pub layout: Layout,
    /// The diffusion transformer.
    pub dit: Component,
    /// The video autoencoder.
    pub vae: Component,
    /// The text encoder.
    pub text_encoder: Component,
    /// Path of `tokenizer.json`.
    pub tokenizer: PathBuf,
    /// The scheduler of a diffusers folder.
    pub scheduler: Option<SchedulerConfig>,
}

impl Checkpoint {
    /// Finds, maps and recognises every component.
    ///
    /// # Errors
    /// [`ImportError::MissingComponent`], [`ImportError::WrongComponent`], [`ImportError::NotRunnable`], and whatever
    /// the readers and [`Fingerprint::of`] find wrong.
    pub fn open(source: &Source) -> Result<Self, ImportError> {
        let layout = layout(source)?;
        let root = source.model.as_deref();
        check_experts(source)?;
        let dit = component(&DIT, layout, root, source.dit.as_deref())?;
        let vae = component(&VAE, layout, root, source.vae.as_deref())?;
        let text_encoder = component(&TEXT_ENCODER, layout, root, source.text_encoder.as_deref())?;
        let tokenizer = tokenizer(layout, root, source.tokenizer.as_deref())?;
        let scheduler = root.map(|root| root.join("scheduler/scheduler_config.json")).filter(|p| p.is_file());
        let scheduler = scheduler.map(|path| SchedulerConfig::read(&path)).transpose()?;
        Ok(Self { layout, dit, vae, text_encoder, tokenizer, scheduler })
    }
}

impl Component {
    /// Opens a file, an index file or a component folder, with its configuration.
    ///
    /// # Errors
    /// Whatever the readers and [`Fingerprint::of`] find wrong.
    pub fn open(path: &Path) -> Result<Self, ImportError> {
        let weights = if path.is_dir() { locate::weights(path) } else { Some(path.to_owned()) };
        let no_weights = || ImportError::config(path, "the folder holds no safetensors weights");
        let weights = weights.ok_or_else(no_weights)?;
        let source: Arc<dyn TensorSource> = Arc::new(source::open(&weights)?);
        let config = locate::config_beside(&weights)
            .or_else(|| Some(path.join("config.json")).filter(|p| p.is_file()));
        let config = config.map(|path| Ok::<_, ImportError>((path.clone(), json::read(&path, MAX_CONFIG)?)));
        let fingerprint = Fingerprint::of(&*source)?;
        Ok(Self { config: config.transpose()?, fingerprint, source })
    }

    /// Says that the weights are not needed again, so that their file pages stop counting as resident memory. A
    /// module that borrows them can still be used: its pages are read again.
    pub fn release(&self) {
        self.source
            .names()
            .into_iter()
            .filter_map(|name| self.source.data(name))
            .for_each(|data| data.release());
    }

    /// Dimensions of a transformer.
    ///
    /// # Errors
    /// [`ImportError::Conflict`] and [`ImportError::Config`]; [`ImportError::WrongComponent`] for another network.
    pub fn dit_dims(&self) -> Result<DitDims, ImportError> {
        match &self.fingerprint.kind {
            Kind::Dit(facts) => DitDims::infer(facts, &self.settings()),
            _ => Err(self.wrong(DIT.expected)),
        }
    }

    /// Dimensions of a text encoder.
    ///
    /// # Errors
    /// As [`Self::dit_dims`], and [`ImportError::MissingTensors`] and [`ImportError::Shape`] for a cut file.
    pub fn umt5_dims(&self) -> Result<Umt5Dims, ImportError> {
        match self.fingerprint.kind {
            Kind::Umt5 => Umt5Dims::infer(&*self.source, self.fingerprint.naming, &self.settings()),
            _ => Err(self.wrong(TEXT_ENCODER.expected)),
        }
    }

    /// Dimensions of a Wan 2.1 autoencoder.
    ///
    /// # Errors
    /// As [`Self::umt5_dims`].
    pub fn vae_dims(&self) -> Result<VaeDims, ImportError> {
        match self.fingerprint.kind {
            Kind::Vae21 => VaeDims::infer(&*self.source, self.fingerprint.naming, &self.settings()),
            _ => Err(self.wrong(VAE.expected)),
        }
    }

    /// The key table for the transformer's module.
    pub fn dit_keys(&self) -> KeyTable {
        KeyTable::dit(self.fingerprint.naming, &self.fingerprint.prefix)
    }

    /// The key table for the text encoder's module.
    pub fn umt5_keys(&self) -> KeyTable {
        KeyTable::umt5(self.fingerprint.naming)
    }

    /// The key table for the autoencoder's encoder module.
    pub fn vae_encoder_keys(&self) -> KeyTable {
        KeyTable::vae_encoder(self.fingerprint.naming)
    }

    /// The key table for the autoencoder's decoder module.
    pub fn vae_decoder_keys(&self, dims: &VaeDims) -> KeyTable {
        KeyTable::vae_decoder(self.fingerprint.naming, dims.num_res_blocks)
    }

    /// The text encoder's token embedding.
    ///
    /// # Errors
    /// As [`TokenTable::new`].
    pub fn token_table(&self) -> Result<TokenTable, ImportError> {
        TokenTable::new(&self.source, self.fingerprint.naming)
    }

    fn settings(&self) -> Settings<'_> {
        match &self.config {
            Some((path, json)) => Settings { path, json: Some(json) },
            None => Settings { path: self.source.path(), json: None },
        }
    }

    fn wrong(&self, expected: &'static str) -> ImportError {
        let (path, found) = (self.source.path().to_owned(), self.fingerprint.kind.to_string());
        ImportError::WrongComponent { path, expected, found }
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
    expected: "a Wan transformer",
    flag: "--dit",
    folder: "transformer",
    file: "diffusion_pytorch_model.safetensors",
    official: locate::official_dit,
    accepts: |kind| matches!(kind, Kind::Dit(_)),
};
const VAE: Part = Part {
    name: "VAE",
    expected: "a Wan VAE",
    flag: "--vae",
    folder: "vae",
    file: locate::OFFICIAL_VAE,
    official: locate::official_vae,
    accepts: |kind| matches!(kind, Kind::Vae21 | Kind::Vae22),
};
const TEXT_ENCODER: Part = Part {
    name: "text encoder",
    expected: "a umT5 text encoder",
    flag: "--text-encoder",
    folder: "text_encoder",
    file: locate::OFFICIAL_TEXT_ENCODER,
    official: locate::official_text_encoder,
    accepts: |kind| matches!(kind, Kind::Umt5),
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

fn component(
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
