//! What a file is, from the names and shapes of its tensors alone.

use std::fmt;

use crate::{ImportError, KeyTable, Naming, TensorSource, config::Shapes};

/// Keys that the error about an unknown file lists.
const LISTED: usize = 5;
/// What repackagings put before the transformer's keys; the longer one first, as it ends in the shorter.
const PREFIXES: [&str; 3] = ["model.diffusion_model.", "diffusion_model.", ""];

/// What a file is, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Fingerprint {
    /// The network.
    pub kind: Kind,
    /// Whose names its keys are.
    pub naming: Naming,
    /// What stands before every key of the network, if anything.
    pub prefix: String,
    /// The tensors that gave it away.
    pub evidence: Vec<String>,
}

/// The networks of the Wan family.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A diffusion transformer.
    Dit(DitFacts),
    /// The video autoencoder with 16 channels and stride 8.
    Vae21,
    /// The video autoencoder with 48 channels and stride 16.
    Vae22,
    /// The umT5 text encoder.
    Umt5,
    /// The CLIP image encoder.
    Clip,
}

/// Dimensions of a diffusion transformer that its shapes show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DitFacts {
    /// Which of the transformers.
    pub variant: DitVariant,
    /// Width of a token.
    pub dim: usize,
    /// Width inside the feed-forward.
    pub ffn_dim: usize,
    /// Blocks.
    pub layers: usize,
    /// Channels in, conditioning included.
    pub in_dim: usize,
    /// Channels out.
    pub out_dim: usize,
    /// Width of the text encoder's output.
    pub text_dim: usize,
    /// Width of the sinusoidal time embedding.
    pub freq_dim: usize,
}

/// The transformers that differ in more than their sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DitVariant {
    /// Text to video, 2.1 or one expert of 2.2.
    T2v,
    /// Image to video of 2.1, with a CLIP branch.
    I2vClip,
    /// First and last frame to video.
    Flf2v,
    /// VACE editing.
    Vace,
    /// LingBot-World, steered by a camera.
    Lingbot,
    /// Image to video of 2.2, one of two experts.
    I2vA14b,
    /// Text and image to video of 2.2 with 5 B parameters.
    Ti2v5b,
    /// Speech to video.
    S2v,
    /// Character animation.
    Animate,
}

impl fmt::Display for DitVariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::T2v => "t2v",
            Self::I2vClip => "i2v-clip",
            Self::Flf2v => "flf2v",
            Self::Vace => "vace",
            Self::Lingbot => "lingbot",
            Self::I2vA14b => "i2v-a14b",
            Self::Ti2v5b => "ti2v-5b",
            Self::S2v => "s2v",
            Self::Animate => "animate",
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dit(facts) => write!(
                f,
                "a Wan {} transformer ({} layers of width {}, {} channels in)",
                facts.variant, facts.layers, facts.dim, facts.in_dim
            ),
            Self::Vae21 => f.write_str("the Wan 2.1 VAE"),
            Self::Vae22 => f.write_str("the Wan 2.2 VAE"),
            Self::Umt5 => f.write_str("a umT5 text encoder"),
            Self::Clip => f.write_str("a CLIP image encoder"),
        }
    }
}

/// A tensor that only one network under one naming has.
struct Sign {
    key: &'static str,
    what: &'static str,
    found: Found,
}

#[derive(Clone, Copy)]
enum Found {
    Dit(Naming),
    Vae21(Naming),
    Vae22(Naming),
    Umt5(Naming),
    /// Behind a prefix of its own.
    Clip(Naming, &'static str),
}

const fn sign(key: &'static str, what: &'static str, found: Found) -> Sign {
    Sign { key, what, found }
}

const SIGNS: &[Sign] = &[
    sign("head.modulation", "Wan transformer", Found::Dit(Naming::Official)),
    sign(
        "condition_embedder.time_proj.weight",
        "Wan transformer, diffusers names",
        Found::Dit(Naming::Diffusers),
    ),
    sign("encoder.downsamples.0.residual.0.gamma", "Wan 2.1 VAE", Found::Vae21(Naming::Official)),
    sign(
        "encoder.downsamples.0.downsamples.0.residual.0.gamma",
        "Wan 2.2 VAE",
        Found::Vae22(Naming::Official),
    ),
    sign(
        "encoder.down_blocks.0.norm1.gamma",
        "Wan 2.1 VAE, diffusers names",
        Found::Vae21(Naming::Diffusers),
    ),
    sign(
        "encoder.down_blocks.0.resnets.0.norm1.gamma",
        "Wan 2.2 VAE, diffusers names",
        Found::Vae22(Naming::Diffusers),
    ),
    sign("blocks.0.pos_embedding.embedding.weight", "umT5 encoder", Found::Umt5(Naming::Official)),
    sign(
        "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
        "T5 encoder, transformers names",
        Found::Umt5(Naming::Diffusers),
    ),
    sign("visual.patch_embedding.weight", "CLIP image encoder", Found::Clip(Naming::Official, "visual.")),
    sign(
        "vision_model.embeddings.class_embedding",
        "CLIP image encoder, transformers names",
        Found::Clip(Naming::Diffusers, "vision_model."),
    ),
    sign(
        "embeddings.class_embedding",
        "CLIP image encoder, names of transformers from version 5 on",
        Found::Clip(Naming::Diffusers, ""),
    ),
];

/// Keys that mark a variant, in the order in which they decide.
const VARIANTS: &[(&str, &str, DitVariant)] = &[
    ("casual_audio_encoder.", "audio encoder", DitVariant::S2v),
    ("face_adapter.", "face adapter", DitVariant::Animate),
    ("motion_encoder.", "motion encoder", DitVariant::Animate),
    ("vace_patch_embedding.", "VACE branch", DitVariant::Vace),
    ("patch_embedding_wancamctrl.", "camera branch", DitVariant::Lingbot),
    ("img_emb.emb_pos", "first and last frame positions", DitVariant::Flf2v),
    ("condition_embedder.image_embedder.pos_embed", "first and last frame positions", DitVariant::Flf2v),
    ("img_emb.", "CLIP branch", DitVariant::I2vClip),
    ("condition_embedder.image_embedder.", "CLIP branch", DitVariant::I2vClip),
];

impl Fingerprint {
    /// Recognises a file.
    ///
    /// # Errors
    /// [`ImportError::Unrecognised`] with what the file holds instead, and [`ImportError::MissingTensors`] or
    /// [`ImportError::Shape`] if it is a known network but cut or deformed.
    pub fn of(source: &dyn TensorSource) -> Result<Self, ImportError> {
        for prefix in PREFIXES {
            // Only transformers are repackaged behind a prefix.
            let signs = SIGNS.iter().filter(|sign| prefix.is_empty() || matches!(sign.found, Found::Dit(_)));
            for sign in signs {
                let key = format!("{prefix}{}", sign.key);
                if let Some(info) = source.info(&key) {
                    let evidence = vec![format!("{key} {:?}: {}", info.shape, sign.what)];
                    return Self::with_sign(source, sign.found, prefix, evidence);
                }
            }
        }
        Err(unrecognised(source, Vec::new()))
    }

    fn with_sign(
        source: &dyn TensorSource,
        found: Found,
        prefix: &str,
        mut evidence: Vec<String>,
    ) -> Result<Self, ImportError> {
        let (kind, naming, prefix) = match found {
            Found::Dit(naming) => (Kind::Dit(dit(source, naming, prefix, &mut evidence)?), naming, prefix),
            Found::Umt5(naming) => (umt5(source, naming, &mut evidence)?, naming, prefix),
            Found::Vae21(naming) => (Kind::Vae21, naming, prefix),
            Found::Vae22(naming) => (Kind::Vae22, naming, prefix),
            Found::Clip(naming, prefix) => (Kind::Clip, naming, prefix),
        };
        Ok(Self { kind, naming, prefix: prefix.to_owned(), evidence })
    }

    /// Refuses the transformers that have branches without a module: VACE, speech and animation.
    ///
    /// # Errors
    /// [`ImportError::NotRunnable`], naming the network and `source`'s file.
    pub fn check_runnable(&self, source: &dyn TensorSource) -> Result<(), ImportError> {
        let Kind::Dit(DitFacts { variant: DitVariant::Vace | DitVariant::S2v | DitVariant::Animate, .. }) =
            self.kind
        else {
            return Ok(());
        };
        let what = format!("{} ({})", self.kind, self.evidence.join("; "));
        Err(ImportError::NotRunnable { path: source.path().to_owned(), what })
    }
}

fn dit(
    source: &dyn TensorSource,
    naming: Naming,
    prefix: &str,
    evidence: &mut Vec<String>,
) -> Result<DitFacts, ImportError> {
    let keys = KeyTable::dit(naming, prefix);
    let shapes = Shapes { source, keys: &keys };
    let [dim, in_dim, 1, 2, 2] = shapes.get("patch_embedding.weight")? else {
        evidence.push("patches that are not 1x2x2".into());
        return Err(unrecognised(source, evidence.clone()));
    };
    let [head_rows, _] = shapes.get("head.head.weight")?;
    let [ffn_dim, _] = shapes.get("blocks.0.ffn.linear1.weight")?;
    let [_, text_dim] = shapes.get("text_embedding.linear1.weight")?;
    let [_, freq_dim] = shapes.get("time_embedding.linear1.weight")?;
    let out_dim = head_rows / 4;
    let variant = variant(source, prefix, in_dim, out_dim, evidence)?;
    let layers = shapes.count("blocks.#.norm3.weight");
    Ok(DitFacts { variant, dim, ffn_dim, layers, in_dim, out_dim, text_dim, freq_dim })
}

fn variant(
    source: &dyn TensorSource,
    prefix: &str,
    in_dim: usize,
    out_dim: usize,
    evidence: &mut Vec<String>,
) -> Result<DitVariant, ImportError> {
    let names = source.names();
    let has = |mark: &str| names.iter().any(|n| n.strip_prefix(prefix).is_some_and(|n| n.starts_with(mark)));
    if let Some((mark, what, variant)) = VARIANTS.iter().find(|(mark, ..)| has(mark)) {
        evidence.push(format!("{mark}: {what}"));
        return Ok(*variant);
    }
    evidence.push(format!("{in_dim} channels in, {out_dim} out, no branches"));
    match (in_dim, out_dim) {
        (48, 48) => Ok(DitVariant::Ti2v5b),
        (36, 16) => Ok(DitVariant::I2vA14b),
        _ if in_dim == out_dim => Ok(DitVariant::T2v),
        _ => Err(unrecognised(source, evidence.clone())),
    }
}

/// T5 keeps one table of position biases in its first layer, umT5 one in every layer.
fn umt5(source: &dyn TensorSource, naming: Naming, evidence: &mut Vec<String>) -> Result<Kind, ImportError> {
    let keys = KeyTable::umt5(naming);
    let shapes = Shapes { source, keys: &keys };
    let (layers, tables) = (shapes.count("blocks.#.norm1.weight"), shapes.count("blocks.#.relative_bias"));
    evidence.push(format!("{tables} tables of position biases in {layers} layers"));
    if layers == tables && layers > 0 { Ok(Kind::Umt5) } else { Err(unrecognised(source, evidence.clone())) }
}

fn unrecognised(source: &dyn TensorSource, mut evidence: Vec<String>) -> ImportError {
    let names = source.names();
    evidence.push(format!("it holds {} tensors", names.len()));
    if !names.is_empty() {
        let first: Vec<_> = names.iter().take(LISTED).copied().collect();
        evidence.push(format!("the first keys are {}", first.join(", ")));
    }
    ImportError::Unrecognised { path: source.path().to_owned(), evidence }
}
