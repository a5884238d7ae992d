//! Dimensions of the text encoder.

use super::{Settings, Shapes};
use crate::{ImportError, KeyTable, Naming, TensorSource, keys};

/// What it takes to build the umT5 encoder.
#[derive(Clone, Debug, PartialEq)]
pub struct Umt5Dims {
    /// Rows of the token embedding.
    pub vocab: usize,
    /// Width of a token.
    pub d_model: usize,
    /// Width of a head.
    pub d_kv: usize,
    /// Width inside the feed-forward.
    pub d_ff: usize,
    /// Layers.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Rows of each layer's table of position biases.
    pub buckets: usize,
    /// The distance from which on all positions share a bucket.
    pub max_distance: usize,
    /// Epsilon of every norm.
    pub eps: f64,
}

impl Umt5Dims {
    pub(crate) fn infer(
        source: &dyn TensorSource,
        naming: Naming,
        settings: &Settings,
    ) -> Result<Self, ImportError> {
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
        check(settings, [vocab, d_model, d_kv, d_ff, layers, heads, buckets])?;
        let max_distance = settings.count(&["relative_attention_max_distance"])?.unwrap_or(128);
        let eps = settings.positive(&["layer_norm_epsilon"], 1e-6)?;
        Ok(Self { vocab, d_model, d_kv, d_ff, layers, heads, buckets, max_distance, eps })
    }
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
