//! Dimensions of the diffusion transformer.

use super::Settings;
use crate::{DitFacts, ImportError};

/// Width of a head in every released transformer.
const HEAD_DIM: usize = 128;

/// What it takes to build the transformer. Patches are 1x2x2.
#[derive(Clone, Debug, PartialEq)]
pub struct DitDims {
    /// Width of a token.
    pub dim: usize,
    /// Width inside the feed-forward.
    pub ffn_dim: usize,
    /// Attention heads; they divide `dim`.
    pub heads: usize,
    /// Blocks.
    pub layers: usize,
    /// Latent channels in.
    pub in_dim: usize,
    /// Latent channels out.
    pub out_dim: usize,
    /// Width of the text encoder's output.
    pub text_dim: usize,
    /// Width of the sinusoidal time embedding.
    pub freq_dim: usize,
    /// Epsilon of every norm.
    pub eps: f64,
}

impl DitDims {
    pub(crate) fn infer(facts: &DitFacts, settings: &Settings) -> Result<Self, ImportError> {
        let &DitFacts { dim, ffn_dim, layers, in_dim, out_dim, text_dim, freq_dim, .. } = facts;
        settings.agree(&["dim"], dim)?;
        settings.agree(&["ffn_dim"], ffn_dim)?;
        settings.agree(&["num_layers"], layers)?;
        settings.agree(&["in_dim", "in_channels"], in_dim)?;
        settings.agree(&["out_dim", "out_channels"], out_dim)?;
        settings.agree(&["text_dim"], text_dim)?;
        settings.agree(&["freq_dim"], freq_dim)?;
        let heads = heads(dim, settings)?;
        let eps = settings.positive(&["eps"], 1e-6)?;
        Ok(Self { dim, ffn_dim, heads, layers, in_dim, out_dim, text_dim, freq_dim, eps })
    }
}

fn heads(dim: usize, settings: &Settings) -> Result<usize, ImportError> {
    let names = ["num_heads", "num_attention_heads"];
    let head_dim = settings.count(&["attention_head_dim"])?;
    let Some(heads) = settings.count(&names)? else {
        let head_dim = head_dim.unwrap_or(HEAD_DIM);
        let divides = head_dim > 0 && dim.is_multiple_of(head_dim);
        return divides.then(|| dim / head_dim).ok_or_else(|| {
            let detail =
                format!("no num_heads is given, and heads of {head_dim} do not divide a width of {dim}");
            ImportError::config(settings.path, detail)
        });
    };
    let fits = match head_dim {
        Some(head_dim) => heads.checked_mul(head_dim) == Some(dim),
        None => heads > 0 && dim.is_multiple_of(heads),
    };
    if fits {
        return Ok(heads);
    }
    let field = settings.find(&names).map_or(names[0], |(name, _)| name);
    let (config, tensors) = (heads.to_string(), format!("a width of {dim}"));
    Err(ImportError::Conflict { path: settings.path.to_owned(), field, config, tensors })
}
