//! What a checkpoint on disk is, for people and for scripts.

use std::{collections::BTreeMap, path::Path};

use serde_json::{Value, json};
use wan_import::{Checkpoint, Component, ImportError, Kind, Source, TensorSource};

/// A model's folder, or one component.
pub fn describe(path: &Path) -> Result<Value, ImportError> {
    if !path.is_dir() {
        return component(&Component::open(path)?);
    }
    let source = Source { model: Some(path.to_owned()), ..Source::default() };
    match Checkpoint::open(&source) {
        Ok(checkpoint) => model(&checkpoint),
        // A component's own folder is no model, but can be described all the same.
        Err(error) => Component::open(path).map_or(Err(error), |found| component(&found)),
    }
}

fn model(checkpoint: &Checkpoint) -> Result<Value, ImportError> {
    let mut model = json!({
        "layout": format!("{:?}", checkpoint.layout).to_lowercase(),
        "transformer": component(&checkpoint.dit)?,
        "vae": component(&checkpoint.vae)?,
        "text_encoder": component(&checkpoint.text_encoder)?,
        "tokenizer": checkpoint.tokenizer,
        "scheduler": checkpoint.scheduler.as_ref().map(|scheduler| scheduler.raw.clone()),
    });
    if let Some(high) = &checkpoint.dit_high {
        model["transformer"]["noise"] = "low".into();
        model["transformer_high"] = component(high)?;
        model["transformer_high"]["noise"] = "high".into();
    }
    if let Some(encoder) = &checkpoint.image_encoder {
        model["image_encoder"] = component(encoder)?;
    }
    if let Some(boundary) = checkpoint.pipeline.boundary_ratio {
        model["boundary_ratio"] = boundary.into();
    }
    Ok(model)
}

fn component(component: &Component) -> Result<Value, ImportError> {
    let fingerprint = &component.fingerprint;
    let (dtypes, parameters, bytes) = totals(&*component.source);
    let mut description = json!({
        "what": fingerprint.kind.to_string(),
        "path": component.source.path(),
        "naming": format!("{:?}", fingerprint.naming).to_lowercase(),
        "parameters": parameters,
        "bytes": bytes,
        "dtypes": dtypes,
        "dimensions": dimensions(component)?,
        "evidence": fingerprint.evidence,
    });
    if matches!(fingerprint.kind, Kind::Dit(_)) {
        description["released"] = json!(component.released());
    }
    Ok(description)
}

/// Tensors of each dtype, elements, bytes.
fn totals(source: &dyn TensorSource) -> (BTreeMap<String, usize>, usize, usize) {
    let mut dtypes = BTreeMap::new();
    let (mut elements, mut bytes) = (0usize, 0);
    for info in source.names().into_iter().filter_map(|name| source.info(name)) {
        *dtypes.entry(info.dtype.to_string()).or_insert(0) += 1;
        // A dtype of unknown size may have any shape.
        let count = info.shape.iter().fold(1usize, |product, &n| product.saturating_mul(n));
        elements = count.saturating_add(elements);
        bytes += info.bytes;
    }
    (dtypes, elements, bytes)
}

fn dimensions(component: &Component) -> Result<Value, ImportError> {
    Ok(match &component.fingerprint.kind {
        Kind::Dit(d) => {
            let heads = component.dit_heads()?;
            json!({"dim": d.dim, "ffn_dim": d.ffn_dim, "heads": heads, "layers": d.layers, "in_dim": d.in_dim,
                   "out_dim": d.out_dim, "text_dim": d.text_dim, "freq_dim": d.freq_dim})
        }
        Kind::Umt5 => {
            let d = component.text_config()?;
            json!({"vocab": d.vocab, "d_model": d.d_model, "d_kv": d.d_kv, "heads": d.heads, "d_ff": d.d_ff,
                   "layers": d.layers, "buckets": d.buckets})
        }
        Kind::Vae21 | Kind::Vae22 => {
            let d = component.vae_config()?;
            json!({"base_dim": d.base_dim, "decoder_base_dim": d.decoder_base_dim, "z_dim": d.z_dim,
                   "dim_mult": d.dim_mult, "num_res_blocks": d.num_res_blocks, "temporal_down": d.temporal_down,
                   "residual": d.residual, "patch_size": d.patch_size})
        }
        Kind::Clip => {
            let d = component.clip_config()?;
            json!({"image_size": d.image_size, "patch": d.patch, "width": d.width, "heads": d.heads, "mlp": d.mlp,
                   "layers": d.layers})
        }
    })
}
