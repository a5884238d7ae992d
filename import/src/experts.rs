//! Where the transformers of a model lie, and which of two is for high noise: by folder, by flag, by name.

use std::path::{Path, PathBuf};

use wan_model::{ModelKind, WanConfig};

use crate::{
    Component, ImportError, Kind, Layout, Source,
    error::{HIGH_NOISE, LOW_NOISE},
    locate,
    noise::{self, Noise},
    parts::DIT,
};

/// The transformers of a model, opened.
pub(crate) struct Experts {
    /// The only one, or the one for low noise.
    pub(crate) dit: Component,
    /// The one for high noise.
    pub(crate) high: Option<Component>,
    pub(crate) config: WanConfig,
}

impl Experts {
    /// Finds and opens them.
    pub(crate) fn open(source: &Source, layout: Layout) -> Result<Self, ImportError> {
        match Found::locate(source, layout)? {
            Found::Pair { low, high } => Self::pair(&low, &high),
            Found::Alone { path, side, looked } => Self::alone(&path, side, looked),
        }
    }

    fn pair(low: &Path, high: &Path) -> Result<Self, ImportError> {
        let dit = DIT.open(low)?;
        let high = if high == low { dit.clone() } else { DIT.open(high)? };
        let config = dit.dit_config()?;
        check_equal(&high, &high.dit_config()?, &dit, &config)?;
        Ok(Self { dit, high: Some(high), config: WanConfig { experts: 2, ..config } })
    }

    fn alone(path: &Path, side: Noise, looked: Vec<PathBuf>) -> Result<Self, ImportError> {
        let dit = DIT.open(path)?;
        let config = dit.dit_config()?;
        if matches!(config.kind, ModelKind::I2v | ModelKind::LingBot { .. }) {
            return Err(missing(side.other(), looked));
        }
        Ok(Self { dit, high: None, config })
    }
}

/// Paths of the transformers.
enum Found {
    /// One. If its model must have two, it is the one for `side`, and the other was looked for in vain in `looked`.
    Alone { path: PathBuf, side: Noise, looked: Vec<PathBuf> },
    /// Two; the paths are the same if one is to be both.
    Pair { low: PathBuf, high: PathBuf },
}

impl Found {
    fn locate(source: &Source, layout: Layout) -> Result<Self, ImportError> {
        let folder = source.model.as_deref().map(|root| Folder::of(root, layout));
        match (&source.dit, &source.dit_high) {
            (Some(low), Some(high)) => Ok(Self::Pair { low: low.clone(), high: high.clone() }),
            (Some(given), None) => Self::given(given, Noise::Low, folder),
            (None, Some(given)) => Self::given(given, Noise::High, folder),
            (None, None) => match folder {
                Some(folder) => folder.found(layout, source.model.as_deref()),
                None => Err(DIT.missing(layout, None)),
            },
        }
    }

    /// One transformer, given as the one for `flag`. Together with its sibling, names decide. The other one may also
    /// come from the model's folder.
    fn given(given: &Path, flag: Noise, folder: Option<Folder>) -> Result<Self, ImportError> {
        let named = Noise::of(given);
        let siblings = named.map(|named| noise::siblings(given, named)).unwrap_or_default();
        let sibling = siblings.iter().find(|path| path.exists());
        if let Some((sibling, named)) = sibling.zip(named) {
            return Ok(Self::sorted(given.to_owned(), named, sibling.clone()));
        }
        let side = if flag == Noise::High { flag } else { named.unwrap_or(flag) };
        let other = folder.and_then(|folder| match side {
            Noise::Low => folder.high.and_then(|place| place.weights),
            Noise::High if flag == Noise::High || folder.high.is_some() => folder.low.weights,
            Noise::High => None,
        });
        let looked = siblings.into_iter().filter(|_| named == Some(side)).take(1).collect();
        match other {
            Some(other) => Ok(Self::sorted(given.to_owned(), side, other)),
            None if flag == Noise::High => Err(missing(Noise::Low, looked)),
            None => Ok(Self::Alone { path: given.to_owned(), side, looked }),
        }
    }

    fn sorted(path: PathBuf, side: Noise, other: PathBuf) -> Self {
        match side {
            Noise::High => Self::Pair { low: other, high: path },
            Noise::Low => Self::Pair { low: path, high: other },
        }
    }
}

/// Where a transformer should lie in a model's folder, and its weights there.
struct Place {
    path: PathBuf,
    weights: Option<PathBuf>,
}

impl Place {
    fn folder(path: PathBuf) -> Self {
        Self { weights: locate::weights(&path), path }
    }
}

/// The transformers of a model's folder.
struct Folder {
    /// The only one, or the one for low noise.
    low: Place,
    /// The one for high noise, if there is a place for two.
    high: Option<Place>,
    /// Of the only one, which one it would be, and the place of the other.
    alone: (Noise, PathBuf),
}

impl Folder {
    fn of(root: &Path, layout: Layout) -> Self {
        let [first, second] = if layout == Layout::Diffusers {
            [DIT.folder, "transformer_2"].map(|name| root.join(name))
        } else {
            ["high_noise_model", "low_noise_model"].map(|name| root.join(name))
        };
        if layout == Layout::Diffusers && !second.is_dir() {
            return Self { low: Place::folder(first), high: None, alone: (Noise::High, second) };
        }
        if first.is_dir() || second.is_dir() {
            let alone = (Noise::Low, first.clone());
            return Self { low: Place::folder(second), high: Some(Place::folder(first)), alone };
        }
        let low = Place { path: root.join(DIT.file), weights: locate::official_dit(root) };
        Self { low, high: None, alone: (Noise::Low, first) }
    }

    fn found(self, layout: Layout, root: Option<&Path>) -> Result<Found, ImportError> {
        let (side, other) = self.alone;
        match self.high {
            None => {
                let absent = || root.and_then(causal).unwrap_or_else(|| DIT.missing(layout, root));
                let path = self.low.weights.ok_or_else(absent)?;
                Ok(Found::Alone { path, side, looked: vec![other] })
            }
            Some(high) => {
                let weights =
                    |place: Place, side| place.weights.ok_or_else(|| missing(side, vec![place.path]));
                let (low, high) = (weights(self.low, Noise::Low)?, weights(high, Noise::High)?);
                Ok(Found::Pair { low, high })
            }
        }
    }
}

/// That a folder is one of LingBot-World 2, whose transformers all run chunk by chunk and have places of their own.
fn causal(root: &Path) -> Option<ImportError> {
    let weights = ["transformers", "transformer_causal"].map(|name| locate::weights(&root.join(name)));
    let path = weights.into_iter().flatten().next()?;
    Some(ImportError::NotRunnable { path, what: "a causal LingBot-World model".into() })
}

fn missing(side: Noise, looked: Vec<PathBuf>) -> ImportError {
    let (component, flag) = match side {
        Noise::High => (HIGH_NOISE, "--dit-high"),
        Noise::Low => (LOW_NOISE, DIT.flag),
    };
    ImportError::MissingComponent { component, looked, flag }
}

/// Refuses two transformers of different shape, by the first thing that differs.
fn check_equal(
    high: &Component,
    high_config: &WanConfig,
    low: &Component,
    low_config: &WanConfig,
) -> Result<(), ImportError> {
    if high_config == low_config {
        return Ok(());
    }
    let [highs, lows] = [(high, high_config), (low, low_config)].map(|(part, config)| facts(part, config));
    let differing = highs.into_iter().zip(lows).find(|(high, low)| high != low);
    let ((what, high_fact), (_, low_fact)) = differing.unwrap_or_default();
    let [path, other] = [high, low].map(|part| part.source.path().to_owned());
    Err(ImportError::ExpertsDiffer { path, other, what, high: high_fact, low: low_fact })
}

/// What two experts share, for people.
fn facts(part: &Component, config: &WanConfig) -> [(&'static str, String); 12] {
    let Kind::Dit(facts) = &part.fingerprint.kind else { return Default::default() };
    [
        ("kind", facts.variant.to_string()),
        ("width", config.dim.to_string()),
        ("feed-forward width", config.ffn_dim.to_string()),
        ("heads", config.heads.to_string()),
        ("layers", config.layers.to_string()),
        ("channels in", config.in_dim.to_string()),
        ("channels out", config.out_dim.to_string()),
        ("text width", config.text_dim.to_string()),
        ("time width", config.freq_dim.to_string()),
        ("eps", config.eps.to_string()),
        ("control width", config.control_width().unwrap_or(0).to_string()),
        ("branch", format!("{:?}", config.kind)),
    ]
}

/// Whether the names of two transformers say the opposite of what they are used as.
pub(crate) fn look_swapped(low: &Path, high: &Path) -> bool {
    let [low_name, high_name] = [low, high].map(Noise::of);
    let swapped = low_name == Some(Noise::High) || high_name == Some(Noise::Low);
    swapped && low_name != high_name
}
