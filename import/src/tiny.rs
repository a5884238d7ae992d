//! Files of tiny decoders, which hold their layers by number.

use std::path::Path;

use burn::prelude::*;
use wan_model::{TinyConfig, TinyDecoder};

use crate::{DtypePolicy, ImportError, KeyTable, TensorSource, load::load_module, source};

/// The first layer of each stage in the file.
const STAGES: [usize; 3] = [3, 9, 15];
const FIRST: &str = "decoder.1.weight";
const LAST: &str = "decoder.22.weight";

/// The decoder of a TAEHV file (`taew2_1`, `taew2_2`) on `device`, in f32.
///
/// # Errors
/// Those of opening a file and of [`load_module`]; [`ImportError::MissingTensors`] for a file of another network.
pub fn load_tiny_decoder(path: &Path, device: &Device) -> Result<TinyDecoder, ImportError> {
    let source = source::open(path)?;
    let config = config(&source)?;
    let rules = rules();
    let rules: Vec<_> = rules.iter().map(|(path, key)| (path.as_str(), key.as_str())).collect();
    let keys = KeyTable::custom(&rules, &["encoder.*"]);
    load_module(TinyDecoder::new(&config, device), &source, &keys, &DtypePolicy::F32, device)
}

/// What the shapes say.
fn config(source: &dyn TensorSource) -> Result<TinyConfig, ImportError> {
    let [width, z_dim] = sides(source, FIRST)?;
    let conv = |stage: usize| sides(source, &format!("decoder.{}.weight", stage + 5));
    let grow = |stage: usize| sides(source, &format!("decoder.{}.conv.weight", stage + 4));
    let [after, grown] = [STAGES.map(conv), STAGES.map(grow)];
    let [[a, _], [b, _], [c, _]] = all(after)?;
    let grown = all(grown)?.map(|[rows, _]| rows);
    let [outputs, _] = sides(source, LAST)?;
    let patch = (outputs / 3).isqrt();
    if 3 * patch * patch != outputs || patch == 0 {
        let detail = format!("{LAST} has {outputs} rows, not three for each pixel of a square");
        return Err(ImportError::config(source.path(), detail));
    }
    Ok(TinyConfig { z_dim, widths: [width, a, b, c], grown, patch })
}

fn all<T>([a, b, c]: [Result<T, ImportError>; 3]) -> Result<[T; 3], ImportError> {
    Ok([a?, b?, c?])
}

/// Outputs and inputs of a convolution.
fn sides(source: &dyn TensorSource, key: &str) -> Result<[usize; 2], ImportError> {
    let shape = source.info(key).map(|info| info.shape.as_slice());
    match shape {
        Some(&[outputs, inputs, ..]) => Ok([outputs, inputs]),
        _ => {
            let (path, first) = (source.path().to_owned(), vec![key.to_owned()]);
            Err(ImportError::MissingTensors { path, count: 1, first })
        }
    }
}

/// Module paths and file keys.
fn rules() -> Vec<(String, String)> {
    let ends = [("conv_in.*", "decoder.1.*"), ("conv_out.*", "decoder.22.*")];
    let mut rules: Vec<_> = ends.map(|(path, key)| (path.to_owned(), key.to_owned())).to_vec();
    for (stage, first) in STAGES.into_iter().enumerate() {
        for block in 0..3 {
            for (name, index) in [("conv1", 0), ("conv2", 2), ("conv3", 4)] {
                let path = format!("stages.{stage}.blocks.{block}.{name}.*");
                rules.push((path, format!("decoder.{}.conv.{index}.*", first + block)));
            }
        }
        rules.push((format!("stages.{stage}.grow.*"), format!("decoder.{}.conv.*", first + 4)));
        rules.push((format!("stages.{stage}.conv.*"), format!("decoder.{}.*", first + 5)));
    }
    rules
}
