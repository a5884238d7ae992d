//! A model on disk: which files hold its components, whatever the layout.

use std::path::PathBuf;

use wan_model::{ClipVisionConfig, ModelKind, Strides, VaeConfig, WanConfig, text::Umt5Config};

use crate::{
    Component, GenerationConfig, ImportError, PipelineConfig, SchedulerConfig,
    experts::{self, Experts},
    package, parts,
};

/// Where the user says the model is: a folder, single components, or both, in which case the component wins.
/// A component is a file, an index file or a folder with one of them.
///
/// Of two transformers, that of one noise level may be left out if the other's file or folder name says `high` or `low`
/// and the same name with the other word exists; names then decide which is which.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// A diffusers folder, or a folder as the authors publish it.
    pub model: Option<PathBuf>,
    /// The diffusion transformer, or that for low noise.
    pub dit: Option<PathBuf>,
    /// The diffusion transformer for high noise.
    pub dit_high: Option<PathBuf>,
    /// The video autoencoder.
    pub vae: Option<PathBuf>,
    /// The text encoder.
    pub text_encoder: Option<PathBuf>,
    /// `tokenizer.json`, or the folder that holds it.
    pub tokenizer: Option<PathBuf>,
    /// The CLIP image encoder, which models with an image branch need.
    pub image_encoder: Option<PathBuf>,
}

/// How a model's folder is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
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
    /// How the folder is laid out, or, for a package, that of the model it was made from was.
    pub layout: Layout,
    /// The diffusion transformer; of two, that for low noise.
    pub dit: Component,
    /// The diffusion transformer for high noise, if there are two.
    pub dit_high: Option<Component>,
    /// The configuration of each transformer.
    pub dit_config: WanConfig,
    /// The video autoencoder.
    pub vae: Component,
    /// Its configuration.
    pub vae_config: VaeConfig,
    /// The text encoder.
    pub text_encoder: Component,
    /// Its configuration.
    pub text_config: Umt5Config,
    /// The CLIP image encoder, if the transformer has an image branch.
    pub image_encoder: Option<Component>,
    /// Its configuration.
    pub clip_config: Option<ClipVisionConfig>,
    /// Path of `tokenizer.json`.
    pub tokenizer: PathBuf,
    /// The scheduler of a diffusers folder.
    pub scheduler: Option<SchedulerConfig>,
    /// Sampling defaults the folder sets.
    pub generation: GenerationConfig,
    /// Settings of the pipeline of a diffusers folder.
    pub pipeline: PipelineConfig,
}

impl Checkpoint {
    /// Finds, maps and recognises every component.
    ///
    /// # Errors
    /// [`ImportError::Package`], [`ImportError::MissingComponent`], [`ImportError::WrongComponent`], [`ImportError::NotRunnable`], whatever the
    /// readers, [`crate::Fingerprint::of`] and the components' configurations find wrong,
    /// [`ImportError::ExpertsDiffer`], and [`ImportError::Mismatch`] if the components are each good but of different
    /// models.
    pub fn open(source: &Source) -> Result<Self, ImportError> {
        let layout = parts::layout(source)?;
        let root = source.model.as_deref();
        let package = root.map(package::read).transpose()?.flatten();
        let Experts { dit, high: dit_high, config: dit_config } = Experts::open(source, layout)?;
        let vae = parts::vae(source, layout, dit_config.out_dim)?;
        let text_encoder = parts::text_encoder(source, layout)?;
        let clip = dit_config.image_dim().map(|_| parts::image_encoder(source, layout)).transpose()?;
        let scheduler = root.map(|root| root.join("scheduler/scheduler_config.json")).filter(|p| p.is_file());
        let model = Self {
            layout: package.map_or(layout, |package| package.layout),
            dit,
            dit_high,
            dit_config,
            vae_config: vae.vae_config()?,
            vae,
            text_config: text_encoder.text_config()?,
            text_encoder,
            clip_config: clip.as_ref().map(Component::clip_config).transpose()?,
            image_encoder: clip,
            tokenizer: parts::tokenizer(source, layout)?,
            scheduler: scheduler.map(|path| SchedulerConfig::read(&path)).transpose()?,
            generation: root.map(GenerationConfig::read).transpose()?.unwrap_or_default(),
            pipeline: root.map(PipelineConfig::read).transpose()?.unwrap_or_default(),
        };
        model.check_widths()?;
        Ok(model)
    }

    /// The transformer for `high` or low noise; a model with only one has it for both.
    pub fn expert(&self, high: bool) -> &Component {
        self.dit_high.as_ref().filter(|_| high).unwrap_or(&self.dit)
    }

    /// Whether the names of two transformers say that they were given in each other's place. Neither keys nor shapes
    /// can tell; they are used as given.
    pub fn experts_look_swapped(&self) -> bool {
        let low = self.dit.source.path();
        self.dit_high.as_ref().is_some_and(|high| experts::look_swapped(low, high.source.path()))
    }

    /// What goes from one component into the next must have one width.
    fn check_widths(&self) -> Result<(), ImportError> {
        let Self { dit_config: dit, vae_config: vae, text_config: text, .. } = self;
        let fit = |part, what, found, expected| check(&self.dit, part, what, found, expected);
        fit(&self.vae, "latent channels", vae.z_dim, dit.out_dim)?;
        check(&self.vae, &self.dit, "channels in", dit.in_dim, dit.out_dim + self.conditioning_channels())?;
        fit(&self.text_encoder, "values in a row of text", text.d_model, dit.text_dim)?;
        if let (Some(part), Some(clip)) = (&self.image_encoder, &self.clip_config) {
            fit(part, "values in a row of image features", clip.width, dit.image_dim().unwrap_or(0))?;
            // Of a first and a last image.
            fit(part, "image tokens", 2 * clip.tokens(), dit.image_len().unwrap_or(2 * clip.tokens()))?;
        }
        match dit.kind {
            // A token's control values are those of the pixels under it.
            ModelKind::LingBot { .. } => {
                fit(&self.vae, "pixels per latent column", vae.spatial_factor(), Strides::VAE_2_1.spatial)
            }
            _ => Ok(()),
        }
    }

    /// Channels beside the noise: a mask for each pixel frame of a latent frame, and the latents of an image.
    fn conditioning_channels(&self) -> usize {
        match self.dit_config.kind {
            ModelKind::T2v | ModelKind::Ti2v => 0,
            _ => self.vae_config.temporal_factor() + self.vae_config.z_dim,
        }
    }
}

/// Refuses `part` if it has `found` instead of `expected` of what `other` exchanges with it.
fn check(
    other: &Component,
    part: &Component,
    what: &'static str,
    found: usize,
    expected: usize,
) -> Result<(), ImportError> {
    if found == expected {
        return Ok(());
    }
    let [path, other] = [part, other].map(|part| part.source.path().to_owned());
    Err(ImportError::Mismatch { path, other, what, found, expected })
}
