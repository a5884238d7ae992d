//! The configuration of the CLIP image encoder.

use serde_json::Value;
use wan_model::{ClipActivation, ClipVisionConfig};

use super::{Settings, Shapes, unfit};
use crate::{ImportError, KeyTable, Naming, TensorSource};

/// Width of a head in the released encoder.
const HEAD_DIM: usize = 80;

/// The encoder that the shapes of `source` and `settings` describe, refused if they contradict each other.
pub(crate) fn clip(
    source: &dyn TensorSource,
    naming: Naming,
    prefix: &str,
    settings: &Settings,
) -> Result<ClipVisionConfig, ImportError> {
    let keys = KeyTable::clip(naming, prefix, 0);
    let shapes = Shapes { source, keys: &keys };
    let [width, 3, patch, columns] = shapes.get("embed.patch")? else {
        return Err(unfit(source, "patches of other than three channels".into()));
    };
    if patch != columns {
        return Err(unfit(source, format!("patches of {patch}x{columns} pixels, which are no squares")));
    }
    let image_size = patch * grid(&shapes, naming)?;
    let [mlp, _] = shapes.get("blocks.0.mlp.linear1.weight")?;
    let layers = shapes.count("blocks.#.norm1.weight");
    check(settings, [image_size, patch, width, layers, mlp])?;
    Ok(ClipVisionConfig {
        image_size,
        patch,
        width,
        heads: heads(width, settings)?,
        layers,
        mlp,
        eps: settings.positive(&["layer_norm_eps"], 1e-5)?,
        activation: activation(settings)?,
        fused_qkv: naming == Naming::Official,
    })
}

/// Patches along a side, from the number of positions.
fn grid(shapes: &Shapes, naming: Naming) -> Result<usize, ImportError> {
    let positions = match naming {
        Naming::Official => shapes.get("embed.position").map(|[_, positions, _]| positions)?,
        Naming::Diffusers => shapes.get("embed.position").map(|[positions, _]| positions)?,
    };
    let grid = (positions - 1).isqrt();
    if grid > 0 && grid * grid + 1 == positions {
        return Ok(grid);
    }
    Err(unfit(shapes.source, format!("{positions} positions, which are no square and one more")))
}

/// Refuses a configuration that contradicts the tensors.
fn check(settings: &Settings, tensors: [usize; 5]) -> Result<(), ImportError> {
    let names = ["image_size", "patch_size", "hidden_size", "num_hidden_layers", "intermediate_size"];
    names.into_iter().zip(tensors).try_for_each(|(name, tensors)| settings.agree(&[name], tensors))
}

/// No shape shows the number of heads.
fn heads(width: usize, settings: &Settings) -> Result<usize, ImportError> {
    let field = "num_attention_heads";
    match settings.count(&[field])? {
        Some(heads) if heads > 0 && width.is_multiple_of(heads) => Ok(heads),
        Some(heads) => {
            let (config, tensors) = (heads.to_string(), format!("a width of {width}"));
            Err(ImportError::Conflict { path: settings.path.to_owned(), field, config, tensors })
        }
        None if width.is_multiple_of(HEAD_DIM) => Ok(width / HEAD_DIM),
        None => {
            let detail =
                format!("no {field} is given, and heads of {HEAD_DIM} do not divide a width of {width}");
            Err(ImportError::config(settings.path, detail))
        }
    }
}

/// A configuration that does not say has the library's default; the released encoder, which has none, has GELU.
fn activation(settings: &Settings) -> Result<ClipActivation, ImportError> {
    let name = match settings.find(&["hidden_act"]) {
        Some((_, name)) => name.as_str(),
        None => Some(if settings.json.is_some() { "quick_gelu" } else { "gelu" }),
    };
    match name {
        Some("gelu") => Ok(ClipActivation::Gelu),
        Some("quick_gelu") => Ok(ClipActivation::QuickGelu),
        _ => {
            let found = settings.find(&["hidden_act"]).map_or(&Value::Null, |(_, value)| value);
            let detail = format!("hidden_act = {found} is neither \"gelu\" nor \"quick_gelu\"");
            Err(ImportError::config(settings.path, detail))
        }
    }
}
