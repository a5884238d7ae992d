//! The configuration of the diffusion transformer.

use wan_model::{ModelKind, WanConfig};

use super::{Settings, Shapes, unfit};
use crate::{DitFacts, DitVariant, Fingerprint, ImportError, KeyTable, TensorSource};

/// Width of a head in every released transformer.
const HEAD_DIM: usize = 128;

/// The transformer that `facts` and `settings` describe, refused if they contradict each other. How many experts a
/// model has and whether it runs chunk by chunk show in no tensor: one, and no.
pub(crate) fn dit(
    source: &dyn TensorSource,
    fingerprint: &Fingerprint,
    facts: &DitFacts,
    settings: &Settings,
) -> Result<WanConfig, ImportError> {
    let &DitFacts { dim, ffn_dim, layers, in_dim, out_dim, text_dim, freq_dim, .. } = facts;
    let heads = heads(facts, settings)?;
    if freq_dim % 2 == 1 {
        return Err(unfit(source, format!("a time embedding of odd width {freq_dim}")));
    }
    let config = WanConfig {
        kind: kind(source, fingerprint, facts)?,
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
    };
    check_image(&config, settings)?;
    Ok(config)
}

/// What the transformer is conditioned on, with the sizes of its branches.
fn kind(
    source: &dyn TensorSource,
    fingerprint: &Fingerprint,
    facts: &DitFacts,
) -> Result<ModelKind, ImportError> {
    let keys = KeyTable::dit(fingerprint.naming, &fingerprint.prefix);
    let shapes = Shapes { source, keys: &keys };
    let image_dim = || shapes.get("image_embedding.linear1.weight").map(|[_, width]| width);
    Ok(match facts.variant {
        DitVariant::T2v => ModelKind::T2v,
        DitVariant::I2vA14b => ModelKind::I2v,
        DitVariant::Ti2v5b => ModelKind::Ti2v,
        DitVariant::I2vClip => ModelKind::ClipI2v { image_dim: image_dim()? },
        DitVariant::Flf2v => {
            let [_, image_len, _] = shapes.get("image_embedding.position")?;
            ModelKind::Flf2v { image_dim: image_dim()?, image_len }
        }
        DitVariant::Lingbot => lingbot(&shapes)?,
        DitVariant::Vace => vace(&shapes, &fingerprint.prefix, facts.layers)?,
        DitVariant::S2v => ModelKind::S2v,
        DitVariant::Animate => ModelKind::Animate,
    })
}

/// Hints follow blocks at even distances, the first included.
fn vace(shapes: &Shapes, prefix: &str, blocks: usize) -> Result<ModelKind, ImportError> {
    let key = format!("{prefix}vace_patch_embedding.weight");
    let Some(&[_, in_dim, ..]) = shapes.source.info(&key).map(|info| info.shape.as_slice()) else {
        return Err(unfit(shapes.source, format!("{key} is no convolution")));
    };
    let has = |n: usize, projection: &str| {
        shapes.source.info(&format!("{prefix}vace_blocks.{n}.{projection}.weight")).is_some()
    };
    // The projection behind a block, under either of its names.
    let hints = (0..).take_while(|&n| has(n, "after_proj") || has(n, "proj_out")).count();
    Ok(ModelKind::Vace { layers: (0..hints).map(|n| n * blocks / hints).collect(), in_dim })
}

/// The camera branch reads whole control values of every pixel under a token.
fn lingbot(shapes: &Shapes) -> Result<ModelKind, ImportError> {
    let [_, width] = shapes.get("camera.control.weight")?;
    let with = |control_dim| ModelKind::LingBot { control_dim, causal: false };
    let one = WanConfig { kind: with(1), ..WanConfig::t2v_1_3b() };
    let control_dim = one.control_width().and_then(|one| split(width, one));
    control_dim.map(with).ok_or_else(|| {
        unfit(shapes.source, format!("{width} control values per token are no whole number per pixel"))
    })
}

fn check_image(config: &WanConfig, settings: &Settings) -> Result<(), ImportError> {
    let Some(width) = config.image_dim() else { return Ok(()) };
    settings.agree(&["image_dim"], width)?;
    settings.agree(&["added_kv_proj_dim"], config.dim)?;
    config.image_len().map_or(Ok(()), |rows| settings.agree(&["pos_embed_seq_len"], rows))
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
