//! What was found out about each device's kernels, kept between runs in the user's cache folder.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use etcetera::BaseStrategy;
use serde::{Deserialize, Serialize};

use crate::media::TemporaryFile;

/// Far above the size of any record.
const MAX_BYTES: u64 = 1 << 16;

/// An operation and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub operation: String,
    pub cause: String,
}

/// What a record is about. With any of it changed, what was found out no longer holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Of this program, and the revision of its kernels.
    pub version: String,
    pub revision: u32,
    pub device: String,
    pub driver: String,
    /// Runtime and shader language.
    pub runtime: String,
}

/// What a check of a device's kernels found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub identity: Identity,
    /// The long check.
    pub full: bool,
    /// Operations whose own kernels fail.
    pub failed: Vec<Finding>,
    /// Operations whose plain tensor code fails on the device.
    pub broken: Vec<Finding>,
}

/// The record about `identity`, if there is one that can be read.
pub fn load(identity: &Identity) -> Option<Record> {
    let mut bytes = Vec::new();
    File::open(path(identity)?).ok()?.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    let record: Record = serde_json::from_slice(&bytes).ok()?;
    (record.identity == *identity).then_some(record)
}

/// Keeps `record` for later runs, unless a longer check's is there. Where nothing can be written there is none: the
/// next run checks again.
pub fn store(record: &Record) {
    let Some(path) = path(&record.identity) else { return };
    if !record.full && load(&record.identity).is_some_and(|known| known.full) {
        return;
    }
    if let Err(error) = write(record, &path) {
        tracing::debug!("{}: {error}", path.display());
    }
}

fn write(record: &Record, path: &Path) -> io::Result<()> {
    fs::create_dir_all(path.parent().unwrap_or(path))?;
    let file = TemporaryFile::new(path, true).map_err(io::Error::other)?;
    file.file().write_all(&serde_json::to_vec_pretty(record)?)?;
    file.persist().map_err(io::Error::other)
}

fn path(identity: &Identity) -> Option<PathBuf> {
    Some(cache_folder()?.join("kernels").join(file_name(identity)))
}

/// One file per device, driver and runtime; another version of this program replaces it.
fn file_name(identity: &Identity) -> String {
    let Identity { device, driver, runtime, .. } = identity;
    let hash = fnv1a([device, driver, runtime].into_iter().flat_map(|text| text.bytes().chain([0])));
    let slug: String = device.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let slug = slug.trim_end_matches('-');
    format!("{}-{hash:016x}.json", &slug[..slug.len().min(40)])
}

/// `WAN_CACHE`, or this program's folder in the user's cache folder.
pub(crate) fn cache_folder() -> Option<PathBuf> {
    match std::env::var_os("WAN_CACHE").filter(|folder| !folder.is_empty()) {
        Some(folder) => Some(folder.into()),
        None => Some(etcetera::base_strategy::choose_native_strategy().ok()?.cache_dir().join("wan")),
    }
}

/// 64-bit FNV-1a: the same for every build, unlike the standard library's hashes.
pub(crate) fn fnv1a(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_holds_the_device_and_no_separators() {
        let identity = Identity {
            version: "1.0.0".into(),
            revision: 1,
            device: "wgpu: ../Gerät (LLVM 15.0.6, 256 bits) and a very long name".into(),
            driver: "one".into(),
            runtime: "wgpu<wgsl>".into(),
        };
        let first = file_name(&identity);
        assert!(first.starts_with("wgpu-----Ger-t") && first.ends_with(".json"), "{first}");
        assert!(first.len() <= 40 + 1 + 16 + 5 && !first.contains(['/', ' ', '<']), "{first}");
        assert_eq!(first, file_name(&Identity { version: "2.0.0".into(), revision: 2, ..identity.clone() }));
        assert_ne!(first, file_name(&Identity { driver: "two".into(), ..identity }));
    }
}
