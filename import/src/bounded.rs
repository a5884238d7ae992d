//! Files of which no more is read than they should have.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use crate::ImportError;

/// The bytes of a file, `None` if there are more than `limit`.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, ImportError> {
    let io = |source| ImportError::Io { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    open(path).map_err(io)?.take(limit + 1).read_to_end(&mut bytes).map_err(io)?;
    Ok((bytes.len() as u64 <= limit).then_some(bytes))
}

/// Opens a regular file. Others are refused before they are opened: a pipe would be waited for.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    File::open(path)
}
