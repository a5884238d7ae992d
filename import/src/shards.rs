//! `*.safetensors.index.json`: one set of tensors over several files.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Component, Path},
};

use serde::Deserialize;

use crate::{ImportError, TensorFile, TensorSource, map::MappedFile, safetensors};

const FORMAT: &str = "safetensors index";
/// Largest index that is read, in bytes: the 14 B network's is 100 kB.
const MAX_INDEX: u64 = 16 << 20;

/// What is read of an index.
#[derive(Deserialize)]
struct Index {
    /// The shard of each key.
    weight_map: BTreeMap<String, String>,
}

/// Opens every shard the index names. Each key must be in the shard that the index says, and each tensor of each
/// shard must be in the index.
pub(crate) fn open(path: &Path) -> Result<TensorFile, ImportError> {
    let weight_map = read_index(path)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let shards: BTreeSet<&String> = weight_map.values().collect();
    let (mut files, mut tensors) = (Vec::new(), BTreeMap::new());
    for shard in shards {
        let file = safetensors::open(MappedFile::open(&folder.join(shard))?)?;
        check_shard(path, shard, &file, &weight_map)?;
        let (mapped, entries) = file.into_parts();
        for (name, mut entry) in entries {
            entry.file = files.len();
            tensors.insert(name, entry);
        }
        files.extend(mapped);
    }
    match weight_map.keys().find(|key| !tensors.contains_key(*key)) {
        Some(key) => Err(ImportError::format(path, FORMAT, format!("{key} is not in {}", weight_map[key]))),
        None => Ok(TensorFile::new(path, files, tensors)),
    }
}

fn read_index(path: &Path) -> Result<BTreeMap<String, String>, ImportError> {
    let Index { weight_map } = crate::json::read_as(path, MAX_INDEX)?;
    match weight_map.iter().find(|(_, shard)| !is_plain_name(shard)) {
        Some((key, shard)) => {
            let detail = format!("{key}: `{shard}` is not a plain file name");
            Err(ImportError::format(path, FORMAT, detail))
        }
        None => Ok(weight_map),
    }
}

/// A file directly inside the folder: no separators, no parent, no root or drive, no backslash on any system.
pub(crate) fn is_plain_name(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    let one = matches!(parts.next(), Some(Component::Normal(part)) if part == name) && parts.next().is_none();
    one && !name.contains(['\\', ':', '\0'])
}

fn check_shard(
    index: &Path,
    shard: &str,
    file: &TensorFile,
    weight_map: &BTreeMap<String, String>,
) -> Result<(), ImportError> {
    let names = file.names();
    match names.iter().find(|&&name| weight_map.get(name).map(String::as_str) != Some(shard)) {
        Some(name) => {
            let detail = format!("{shard} holds {name}, which the index does not place there");
            Err(ImportError::format(index, FORMAT, detail))
        }
        None => Ok(()),
    }
}
