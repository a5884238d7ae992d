//! Files as memory: mapped read-only, shared by the tensors that borrow them.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use memmap2::Mmap;

use crate::{ImportError, bounded};

/// Bytes of one request to read ahead: Linux reads no more than a device's own measure for each, often this.
#[cfg(unix)]
const READ_AHEAD: usize = 128 << 10;

/// A mapped file. Clones share the map.
#[derive(Clone, Debug)]
pub(crate) struct MappedFile {
    path: Arc<PathBuf>,
    map: Arc<Mmap>,
}

impl MappedFile {
    pub(crate) fn open(path: &Path) -> Result<Self, ImportError> {
        let io = |source| ImportError::Io { path: path.to_owned(), source };
        let file = bounded::open(path).map_err(io)?;
        // SAFETY: the map is read-only. As with every mapped file, another process that shortens it meanwhile
        // would make reads fault; checkpoints are not written to while they are in use.
        let map = unsafe { Mmap::map(&file) }.map_err(io)?;
        Ok(Self { path: Arc::new(path.to_owned()), map: Arc::new(map) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// The part of the map that holds one tensor. `range` must lie inside the file.
    pub(crate) fn part(&self, range: Range<usize>) -> MappedPart {
        debug_assert!(range.end <= self.map.len());
        MappedPart { map: self.map.clone(), range }
    }

    /// Asks the system to read this part of the file, which must lie inside it, before it is used.
    pub(crate) fn read_ahead(&self, range: &Range<usize>) {
        read_ahead(&self.map, range);
    }
}

#[cfg(unix)]
fn read_ahead(map: &Mmap, range: &Range<usize>) {
    for start in range.clone().step_by(READ_AHEAD) {
        // Advice that the kernel refuses changes nothing.
        let _ = map.advise_range(memmap2::Advice::WillNeed, start, READ_AHEAD.min(range.end - start));
    }
}

#[cfg(not(unix))]
fn read_ahead(_: &Mmap, _: &Range<usize>) {}

/// A range of a map that keeps the map alive.
#[derive(Clone, Debug)]
pub(crate) struct MappedPart {
    map: Arc<Mmap>,
    range: Range<usize>,
}

impl MappedPart {
    /// Asks the system to read these pages before they are used.
    pub(crate) fn read_ahead(&self) {
        read_ahead(&self.map, &self.range);
    }

    /// Lets the kernel drop these pages from this process; reading them again maps them again.
    pub(crate) fn release(&self) {
        #[cfg(unix)]
        // SAFETY: the map is a shared, read-only file mapping, whose dropped pages come back with the same content.
        // Advice that the kernel refuses changes nothing.
        let _ = unsafe {
            self.map.unchecked_advise_range(
                memmap2::UncheckedAdvice::DontNeed,
                self.range.start,
                self.range.len(),
            )
        };
    }
}

impl AsRef<[u8]> for MappedPart {
    fn as_ref(&self) -> &[u8] {
        &self.map[self.range.clone()]
    }
}
