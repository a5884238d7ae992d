//! Temporary files and folders that vanish unless they are given their final name.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use image::ImageError;
use tempfile::{Builder, NamedTempFile, TempDir};

use super::{
    MediaError,
    leftovers::{Claim, PREFIX, RANDOM},
};

/// The folder a path lies in; `.` for a bare name.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file beside `target` that takes its name when complete.
pub struct TemporaryFile {
    target: PathBuf,
    overwrite: bool,
    file: NamedTempFile,
    _claim: Claim,
}

impl TemporaryFile {
    /// An empty file in the folder of `target`.
    pub fn new(target: &Path, overwrite: bool) -> Result<Self, MediaError> {
        let folder = folder_of(target);
        let mut builder = named();
        readable(&mut builder);
        let (file, _claim) = Claim::new(folder, || builder.tempfile_in(folder), NamedTempFile::path)
            .map_err(|source| MediaError::Unwritable { path: folder.to_owned(), source })?;
        Ok(Self { target: target.to_owned(), overwrite, file, _claim })
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
        let Self { target, overwrite, file, _claim } = self;
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

/// Names that [`super::sweep`] knows.
fn named() -> Builder<'static, 'static> {
    let mut builder = Builder::new();
    builder.prefix(PREFIX).rand_bytes(RANDOM);
    builder
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
    _claim: Claim,
}

impl TemporaryFolder {
    /// An empty folder inside `parent`.
    pub fn new(parent: &Path) -> Result<Self, MediaError> {
        let (folder, _claim) = Claim::new(parent, || named().tempdir_in(parent), TempDir::path)
            .map_err(|source| MediaError::Unwritable { path: parent.to_owned(), source })?;
        Ok(Self { folder, _claim })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}
