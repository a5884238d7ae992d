//! Temporary files and folders that vanish unless they are given their final name.

use std::{
    collections::BTreeSet,
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use image::ImageError;
use tempfile::{Builder, NamedTempFile, TempDir};

use super::MediaError;

/// Paths of this process that are not yet complete.
static LEFTOVERS: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn leftovers() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    LEFTOVERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes every unfinished file and folder of this process; for leaving without unwinding.
pub fn remove_leftovers() {
    for path in std::mem::take(&mut *leftovers()) {
        let _ = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
    }
}

/// Takes a path off the list when its owner is dropped.
struct Listed(PathBuf);

impl Listed {
    fn new(path: &Path) -> Self {
        leftovers().insert(path.to_owned());
        Self(path.to_owned())
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        leftovers().remove(&self.0);
    }
}

/// The folder a path lies in; `.` for a bare name.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file beside `target` that takes its name when complete.
pub struct TemporaryFile {
    target: PathBuf,
    overwrite: bool,
    file: NamedTempFile,
    _listed: Listed,
}

impl TemporaryFile {
    /// An empty file in the folder of `target`.
    pub fn new(target: &Path, overwrite: bool) -> Result<Self, MediaError> {
        let mut builder = Builder::new();
        builder.prefix(".wan-");
        readable(&mut builder);
        let file = builder
            .tempfile_in(folder_of(target))
            .map_err(|source| MediaError::Unwritable { path: folder_of(target).to_owned(), source })?;
        let _listed = Listed::new(file.path());
        Ok(Self { target: target.to_owned(), overwrite, file, _listed })
    }

    /// The open file.
    pub fn file(&self) -> &File {
        self.file.as_file()
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// A writing error of this file.
    pub fn error(&self, source: io::Error) -> MediaError {
        MediaError::Write { path: self.target.clone(), source }
    }

    /// An encoder's error on the way into this file.
    pub fn image_error(&self, what: &'static str, error: ImageError) -> MediaError {
        MediaError::image(what, &self.target, error)
    }

    /// Syncs and renames; refuses to replace a file that came up meanwhile unless overwriting was asked for.
    pub fn persist(self) -> Result<(), MediaError> {
        self.file().sync_all().map_err(|e| self.error(e))?;
        let Self { target, overwrite, file, _listed } = self;
        let result = if overwrite { file.persist(&target) } else { file.persist_noclobber(&target) };
        match result {
            Ok(_) => Ok(()),
            Err(e) if e.error.kind() == io::ErrorKind::AlreadyExists => {
                Err(MediaError::Exists { path: target })
            }
            Err(e) => Err(MediaError::Write { path: target, source: e.error }),
        }
    }
}

/// Lets the umask decide about permissions, as for any other created file.
fn readable(builder: &mut Builder<'_, '_>) {
    #[cfg(unix)]
    {
        use std::{fs::Permissions, os::unix::fs::PermissionsExt};
        builder.permissions(Permissions::from_mode(0o666));
    }
    #[cfg(not(unix))]
    let _ = builder;
}

/// A folder for files that are moved out when all of them are complete.
pub struct TemporaryFolder {
    folder: TempDir,
    _listed: Listed,
}

impl TemporaryFolder {
    /// An empty folder inside `parent`.
    pub fn new(parent: &Path) -> Result<Self, MediaError> {
        let folder = Builder::new()
            .prefix(".wan-")
            .tempdir_in(parent)
            .map_err(|source| MediaError::Unwritable { path: parent.to_owned(), source })?;
        let _listed = Listed::new(folder.path());
        Ok(Self { folder, _listed })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}
