//! The configuration of the text encoder.

use wan_model::text::Umt5Config;

use super::{Settings, Shapes, unfit};
use crate::{ImportError, KeyTable, Naming, TensorSource, keys};

/// The encoder that the shapes of `source` and `settings` describe, refused if they contradict each other.
pub(crate) fn umt5(
    source: &dyn TensorSource,
    naming: Naming,
    settings: &Settings,
) -> Result<Umt5Config, ImportError> {
    let keys = KeyTable::umt5(naming);
    let shapes = Shapes { source, keys: &keys };
    let [vocab, d_model] = embedding(source, naming)?;
    let [buckets, heads] = shapes.get("blocks.0.relative_bias")?;
    let [inner, _] = shapes.get("blocks.0.attn.q.weight")?;
    let [d_ff, _] = shapes.get("blocks.0.ffn.up.weight")?;
    let layers = shapes.count("blocks.#.norm1.weight");
    let d_kv = inner / heads;
    if d_kv * heads != inner {
        let (key, expected) = ("blocks.0.attn.q.weight".into(), vec![heads, d_model]);
        let path = source.path().to_owned();
        return Err(ImportError::Shape { path, key, expected, found: vec![inner, d_model] });
    }
    // One half of the buckets is for positions before, one for positions after.
    if !buckets.is_multiple_of(2) {
        return Err(unfit(source, format!("an odd number of position buckets, {buckets}")));
    }
    check(settings, [vocab, d_model, d_kv, d_ff, layers, heads, buckets])?;
    let max_distance = settings.count(&["relative_attention_max_distance"])?.unwrap_or(128);
    let eps = settings.positive(&["layer_norm_epsilon"], 1e-6)?;
    Ok(Umt5Config { vocab, d_model, d_kv, heads, d_ff, layers, buckets, max_distance, eps })
}

/// Refuses a configuration that contradicts the tensors.
fn check(settings: &Settings, tensors: [usize; 7]) -> Result<(), ImportError> {
    let names = [
        "vocab_size",
        "d_model",
        "d_kv",
        "d_ff",
        "num_layers",
        "num_heads",
        "relative_attention_num_buckets",
    ];
    names.into_iter().zip(tensors).try_for_each(|(name, tensors)| settings.agree(&[name], tensors))
}

fn embedding(source: &dyn TensorSource, naming: Naming) -> Result<[usize; 2], ImportError> {
    let names = keys::token_keys(naming);
    let key = names.iter().find(|key| source.info(key).is_some()).unwrap_or(&names[0]);
    let table = KeyTable::custom(&[(key, key)], &[]);
    Shapes { source, keys: &table }.get(key)
}
