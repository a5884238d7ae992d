//! The configuration of the diffusion transformer.

use wan_model::{ModelKind, WanConfig};

use super::{Settings, unfit};
use crate::{DitFacts, ImportError, TensorSource};

/// Width of a head in every released transformer.
const HEAD_DIM: usize = 128;

/// The text-to-video transformer that `facts` and `settings` describe, refused if they contradict each other.
pub(crate) fn dit(
    source: &dyn TensorSource,
    facts: &DitFacts,
    settings: &Settings,
) -> Result<WanConfig, ImportError> {
    let &DitFacts { dim, ffn_dim, layers, in_dim, out_dim, text_dim, freq_dim, .. } = facts;
    let heads = heads(facts, settings)?;
    if freq_dim % 2 == 1 {
        return Err(unfit(source, format!("a time embedding of odd width {freq_dim}")));
    }
    Ok(WanConfig {
        kind: ModelKind::T2v,
        eps: settings.positive(&["eps"], 1e-6)?,
        dim,
        ffn_dim,
        heads,
        layers,
        in_dim,
        out_dim,
        text_dim,
        freq_dim,
        ..WanConfig::t2v_1_3b()
    })
}

/// The number of heads of any transformer, if `settings` and `facts` agree.
pub(crate) fn heads(facts: &DitFacts, settings: &Settings) -> Result<usize, ImportError> {
    settings.agree(&["dim"], facts.dim)?;
    settings.agree(&["ffn_dim"], facts.ffn_dim)?;
    settings.agree(&["num_layers"], facts.layers)?;
    settings.agree(&["in_dim", "in_channels"], facts.in_dim)?;
    settings.agree(&["out_dim", "out_channels"], facts.out_dim)?;
    settings.agree(&["text_dim"], facts.text_dim)?;
    settings.agree(&["freq_dim"], facts.freq_dim)?;
    head_count(facts.dim, settings)
}

/// No shape shows the number of heads. Rotary positions need their width to be even.
fn head_count(dim: usize, settings: &Settings) -> Result<usize, ImportError> {
    let names = ["num_heads", "num_attention_heads"];
    let head_dim = settings.count(&["attention_head_dim"])?;
    let Some(heads) = settings.count(&names)? else {
        let head_dim = head_dim.unwrap_or(HEAD_DIM);
        return split(dim, head_dim).filter(|_| head_dim % 2 == 0).ok_or_else(|| {
            let detail =
                format!("no num_heads is given, and heads of {head_dim} do not divide a width of {dim}");
            ImportError::config(settings.path, detail)
        });
    };
    let fits = split(dim, heads).is_some_and(|d| d % 2 == 0 && head_dim.is_none_or(|given| given == d));
    if fits {
        return Ok(heads);
    }
    let field = settings.find(&names).map_or(names[0], |(name, _)| name);
    let (config, tensors) = (heads.to_string(), format!("a width of {dim}"));
    Err(ImportError::Conflict { path: settings.path.to_owned(), field, config, tensors })
}

/// `dim / by`, if that is whole.
fn split(dim: usize, by: usize) -> Option<usize> {
    (by > 0 && dim.is_multiple_of(by)).then(|| dim / by)
}
