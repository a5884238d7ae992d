//! The cache's folders: `models--owner--name/{blobs,refs,snapshots}`, laid out as huggingface_hub does, so that its
//! files are found by other programs and theirs by us.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::{HubError, HubId};
use crate::{bounded, shards::is_plain_name};

/// Longest commit hash, in bytes.
const MAX_COMMIT: u64 = 64;

/// One model's part of the cache.
#[derive(Clone, Debug)]
pub(super) struct Store {
    root: PathBuf,
    locks: PathBuf,
}

impl Store {
    pub fn new(cache: &Path, id: &HubId) -> Self {
        Self { root: cache.join(id.folder()), locks: cache.join(".locks").join(id.folder()) }
    }

    /// The folder in which a commit's files have their names.
    pub fn snapshot(&self, commit: &str) -> PathBuf {
        self.root.join("snapshots").join(commit)
    }

    /// The newest folder that is known for a revision.
    pub fn known(&self, revision: &str) -> Option<PathBuf> {
        let named = bounded::read(&self.reference(revision), MAX_COMMIT).ok().flatten();
        let commit = named.and_then(|bytes| String::from_utf8(bytes).ok());
        let commit = commit.as_deref().map_or(revision, str::trim_end);
        is_plain_name(commit).then(|| self.snapshot(commit)).filter(|folder| folder.is_dir())
    }

    fn reference(&self, revision: &str) -> PathBuf {
        revision.split('/').fold(self.root.join("refs"), |path, name| path.join(name))
    }

    /// Notes which commit a branch or tag stands for.
    pub fn refer(&self, revision: &str, commit: &str) -> Result<(), HubError> {
        let path = self.reference(revision);
        let write = || {
            fs::create_dir_all(path.parent().unwrap_or(&path))?;
            let unfinished = path.with_file_name(format!(".{commit}.wan"));
            fs::write(&unfinished, commit)?;
            fs::rename(&unfinished, &path)
        };
        if revision == commit { Ok(()) } else { write().map_err(at(&path)) }
    }

    /// Where contents lie, named by their checksum.
    pub fn blob(&self, checksum: &str) -> PathBuf {
        self.root.join("blobs").join(checksum)
    }

    /// Where contents lie that are not whole yet; huggingface_hub goes on from the same file.
    pub fn partial(&self, checksum: &str) -> PathBuf {
        self.root.join("blobs").join(format!("{checksum}.incomplete"))
    }

    /// Whether the contents are there, or a file of their length has the name: some systems know no links.
    pub fn has(&self, commit: &str, path: &str, checksum: &str, bytes: u64) -> bool {
        [self.blob(checksum), self.named(commit, path)].iter().any(|path| length(path) == Some(bytes))
    }

    fn named(&self, commit: &str, path: &str) -> PathBuf {
        path.split('/').fold(self.snapshot(commit), |folder, name| folder.join(name))
    }

    /// Bytes of what is not whole yet.
    pub fn started(&self, checksum: &str) -> u64 {
        length(&self.partial(checksum)).unwrap_or(0)
    }

    /// Gives contents their name in a commit, which must not leave its folder.
    pub fn name(&self, commit: &str, path: &str, checksum: &str) -> Result<PathBuf, HubError> {
        let (named, blob) = (self.named(commit, path), self.blob(checksum));
        let link = || {
            if !blob.is_file() && named.is_file() {
                return Ok(());
            }
            fs::create_dir_all(named.parent().unwrap_or(&named))?;
            // A name from before may point at nothing, or at what an earlier version of it was.
            if named.symlink_metadata().is_ok() {
                fs::remove_file(&named)?;
            }
            let up = "../".repeat(2 + path.matches('/').count());
            let target = format!("{up}blobs/{checksum}");
            symbolic_link(Path::new(&target), &named)
                .or_else(|_| fs::hard_link(&blob, &named))
                .or_else(|_| fs::rename(&blob, &named))
        };
        link().map_err(at(&named))?;
        Ok(named)
    }

    /// A lock on contents, held by one program at a time; the one that huggingface_hub takes. `None` while another
    /// program has it.
    pub fn lock(&self, checksum: &str) -> Result<Option<File>, HubError> {
        let path = self.locks.join(format!("{checksum}.lock"));
        let open = || {
            fs::create_dir_all(&self.locks)?;
            fs::create_dir_all(self.root.join("blobs"))?;
            let file = File::options().create(true).truncate(false).write(true).open(&path)?;
            match file.try_lock() {
                Ok(()) => Ok(Some(file)),
                Err(fs::TryLockError::WouldBlock) => Ok(None),
                // Of file systems without locks.
                Err(fs::TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                    Ok(Some(file))
                }
                Err(fs::TryLockError::Error(error)) => Err(error),
            }
        };
        open().map_err(at(&path))
    }
}

fn length(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().filter(fs::Metadata::is_file).map(|found| found.len())
}

/// An error of the file system at `path`.
pub(super) fn at(path: &Path) -> impl Fn(io::Error) -> HubError {
    move |source| HubError::Io { path: path.to_owned(), source }
}

#[cfg(unix)]
fn symbolic_link(target: &Path, name: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, name)
}

#[cfg(windows)]
fn symbolic_link(target: &Path, name: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target, name)
}
