//! The names of the video autoencoders' halves: one flat run of blocks here, nested stages in most files.

use wan_model::VaeConfig;

use super::{KeyTable, Naming, diffusers, official, place, substitute};

/// How an autoencoder's blocks fall into stages; their names depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VaeStages {
    /// Whether it is Wan 2.2's kind, with shortcuts around the stages.
    pub residual: bool,
    /// Residual blocks per encoder stage; decoder stages have one more.
    pub res_blocks: usize,
}

impl From<&VaeConfig> for VaeStages {
    fn from(config: &VaeConfig) -> Self {
        Self { residual: config.residual, res_blocks: config.num_res_blocks }
    }
}

/// One half of an autoencoder under one naming.
pub(super) struct Half {
    /// (Module path, file key) patterns. A rule that ends in `/` is a place, and holds any of `parts`.
    pub rules: &'static [(&'static str, &'static str)],
    /// The run of blocks, without and with shortcuts around the stages.
    pub runs: [Run; 2],
    pub parts: &'static [(&'static str, &'static str)],
    /// Patterns of the file keys of this half.
    pub keys: &'static [&'static str],
}

/// Places of a run of blocks in a file.
pub(super) enum Run {
    /// Numbered through: `#` is the block.
    Flat(&'static str),
    /// By stage: the first `#` is the stage, the second the block in it. The step behind the blocks stands on its own.
    Nested { block: &'static str, step: &'static str },
}

/// Stages that nested names are written out for; Wan has four.
const MAX_STAGES: usize = 16;

impl KeyTable {
    /// The encoder half of the video autoencoder, with the 1x1x1 convolution that follows it.
    pub fn vae_encoder(naming: Naming, stages: VaeStages) -> Self {
        let [encoder, decoder] = halves(naming);
        Self::half(encoder, "down", stages.residual, stages.res_blocks, decoder.keys)
    }

    /// The decoder half of the video autoencoder, with the 1x1x1 convolution before it.
    pub fn vae_decoder(naming: Naming, stages: VaeStages) -> Self {
        let [encoder, decoder] = halves(naming);
        Self::half(decoder, "up", stages.residual, stages.res_blocks + 1, encoder.keys)
    }

    /// `blocks` residual blocks stand in each stage of the run that our modules call `path`.
    fn half(half: &Half, path: &str, residual: bool, blocks: usize, other: &[&str]) -> Self {
        let mut table = Self::custom(&[], other);
        for (path, key) in half.rules {
            match (path.strip_suffix('/'), key.strip_suffix('/')) {
                (Some(path), Some(key)) => table.rules.extend(place(path, key, half.parts)),
                _ => table.rules.push(((*path).into(), (*key).into())),
            }
        }
        for (path, key) in half.runs[usize::from(residual)].places(path, blocks) {
            table.rules.extend(place(&path, &key, half.parts));
        }
        table
    }
}

fn halves(naming: Naming) -> &'static [Half; 2] {
    match naming {
        Naming::Official => &official::VAE,
        Naming::Diffusers => &diffusers::VAE,
    }
}

impl Run {
    /// (Module path, file key) patterns of the run's blocks. A stage of `blocks` residual blocks and a step takes
    /// `blocks + 1` of the flat numbers.
    fn places(&self, path: &str, blocks: usize) -> Vec<(String, String)> {
        let (block, step) = match self {
            Self::Flat(key) => return vec![(format!("{path}.#"), (*key).to_owned())],
            Self::Nested { block, step } => (block, step),
        };
        let nested = |n: usize| {
            let (stage, index) = (n / (blocks + 1), n % (blocks + 1));
            let key = if index == blocks { step } else { block };
            let key = substitute(key, vec![&stage.to_string(), &index.to_string()]);
            (format!("{path}.{n}"), key)
        };
        (0..MAX_STAGES * (blocks + 1)).map(nested).collect()
    }
}
