//! Whether files are still those of an earlier run, without reading all of them.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Checkpoint, Component, ImportError};

/// Up to this length all of a file is read.
const WHOLE: u64 = 16 << 20;
/// Bytes at either end of a longer one that are: headers of safetensors, directories of torch's archives.
const EDGE: u64 = 1 << 20;
/// Of what lies between, so many windows at equal distances...
const WINDOWS: u64 = 64;
/// ... of so many bytes.
const WINDOW: u64 = 4 << 10;

/// A file of a model as a run found it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileHash {
    /// `transformer`, `transformer_high`, `vae`, `text_encoder`, `image_encoder` or `tokenizer`.
    pub component: String,
    pub path: PathBuf,
    pub bytes: u64,
    /// [`hash_file`] of it.
    pub hash: String,
}

impl Checkpoint {
    /// The files of every component, their configurations and the tokenizer included, each with the hash of a sample of
    /// it: a few megabytes are read of files of any size. A package has checksums of all bytes beside that
    /// ([`crate::verify_package`]).
    ///
    /// # Errors
    /// [`ImportError::Io`].
    pub fn fingerprints(&self) -> Result<Vec<FileHash>, ImportError> {
        let high = self.dit_high.iter().map(|part| ("transformer_high", part));
        let image = self.image_encoder.iter().map(|part| ("image_encoder", part));
        let parts = std::iter::once(("transformer", &self.dit)).chain(high);
        let parts = parts.chain([("vae", &self.vae), ("text_encoder", &self.text_encoder)]).chain(image);
        let files = parts.flat_map(|(name, part)| part.files().into_iter().map(move |path| (name, path)));
        let files = files.chain([("tokenizer", self.tokenizer.clone())]);
        files
            .map(|(component, path)| {
                let bytes = length(&path)?;
                Ok(FileHash { component: component.to_owned(), hash: hash_file(&path)?, path, bytes })
            })
            .collect()
    }
}

impl Component {
    /// The files it was read from: weights, their index if there is one, and the configuration.
    pub fn files(&self) -> Vec<PathBuf> {
        let config = self.config.as_ref().map(|(path, _)| path.as_path());
        self.source.files().into_iter().chain(config).map(Path::to_owned).collect()
    }
}

/// `sha256:` and the checksum of all bytes of a file of up to 16 MiB. Of a longer one `sampled-sha256:` and that of its
/// length, 1 MiB at either end and 64 windows of 4 KiB at equal distances between, which no two releases of a model, no
/// other precision and no cut download have in common; a change of a few bytes may go unnoticed.
///
/// # Errors
/// [`ImportError::Io`].
pub fn hash_file(path: &Path) -> Result<String, ImportError> {
    let io = |source| ImportError::Io { path: path.to_owned(), source };
    let length = length(path)?;
    let mut file = File::open(path).map_err(io)?;
    let mut hasher = Sha256::new();
    if length <= WHOLE {
        std::io::copy(&mut file, &mut hasher).map_err(io)?;
        return Ok(format!("sha256:{:x}", hasher.finalize()));
    }
    hasher.update(length.to_le_bytes());
    for (start, bytes) in sample(length) {
        file.seek(SeekFrom::Start(start)).map_err(io)?;
        std::io::copy(&mut (&mut file).take(bytes), &mut hasher).map_err(io)?;
    }
    Ok(format!("sampled-sha256:{:x}", hasher.finalize()))
}

/// Start and length of what is read of a file of `length` bytes.
fn sample(length: u64) -> impl Iterator<Item = (u64, u64)> {
    let distance = (length - 2 * EDGE) / WINDOWS;
    let windows = (0..WINDOWS).map(move |n| (EDGE + n * distance, WINDOW));
    std::iter::once((0, EDGE)).chain(windows).chain([(length - EDGE, EDGE)])
}

fn length(path: &Path) -> Result<u64, ImportError> {
    let found =
        std::fs::metadata(path).map_err(|source| ImportError::Io { path: path.to_owned(), source })?;
    Ok(found.len())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_short_file_has_the_usual_checksum() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().write_all(b"abc").unwrap();
        // FIPS 180-2, appendix B.1.
        let known = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash_file(file.path()).unwrap(), known);
    }

    #[test]
    fn of_a_long_file_length_ends_and_samples_count() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let length = (1 << 30) + 5;
        file.as_file().set_len(length).unwrap();
        let hash = || hash_file(file.path()).unwrap();
        let mut seen = vec![hash()];
        assert!(seen[0].starts_with("sampled-sha256:"));
        let third_window = EDGE + 2 * ((length - 2 * EDGE) / WINDOWS);
        for place in [0, EDGE - 1, third_window + WINDOW - 1, length - 1] {
            let mut open = file.as_file();
            open.seek(SeekFrom::Start(place)).unwrap();
            open.write_all(&[1]).unwrap();
            seen.push(hash());
        }
        file.as_file().set_len(length + 1).unwrap();
        seen.push(hash());
        let distinct: std::collections::BTreeSet<_> = seen.iter().collect();
        assert_eq!(distinct.len(), seen.len());
    }
}
