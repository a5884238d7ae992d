//! What runs there are, and which have to go.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{FILE, Header, LOCK, Run, RunError, age, folder, id, read_header};

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Newest runs.
    pub runs: usize,
    /// Of all of them together.
    pub bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { runs: 32, bytes: 32 << 30 }
    }
}

/// A run's folder.
#[derive(Debug)]
pub struct Listed {
    pub id: String,
    pub folder: PathBuf,
    pub header: Result<Header, RunError>,
    /// Of all its files.
    pub bytes: u64,
    /// Whether a process is at work on it.
    pub busy: bool,
}

impl Listed {
    fn new(folder: PathBuf) -> Self {
        let sizes = fs::read_dir(&folder).into_iter().flatten().flatten();
        let bytes = sizes.filter_map(|entry| entry.metadata().ok()).map(|found| found.len()).sum();
        let header = read_header(&folder.join(FILE));
        Self { id: id(&folder), busy: is_busy(&folder), header, bytes, folder }
    }

    /// Since its state was written; very long without one.
    pub fn age(&self) -> Duration {
        age(self.saved())
    }

    /// Dates of one length are in the order of their text.
    fn saved(&self) -> &str {
        self.header.as_ref().map_or("", |header| header.saved.as_str())
    }

    /// Whether more is kept than what was asked for.
    fn is_encoded(&self) -> bool {
        self.header.as_ref().is_ok_and(|header| header.encoded)
    }

    /// Why it cannot be gone on from, if so.
    pub fn obstacle(&self) -> Option<String> {
        if self.busy {
            return Some("under way".to_owned());
        }
        let header = match &self.header {
            Ok(header) => header,
            Err(RunError::Read { .. }) => return Some("no state yet".to_owned()),
            Err(RunError::Version { .. }) => return Some("of another version".to_owned()),
            Err(_) => return Some("damaged".to_owned()),
        };
        let mut settings = header.settings.clone();
        let missing = settings.paths().find(|(_, path)| !path.exists());
        missing.map(|(flag, path)| format!("--{flag} {} is gone", path.display()))
    }
}

fn is_busy(folder: &Path) -> bool {
    let lock = File::open(folder.join(LOCK));
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(fs::TryLockError::WouldBlock)))
}

/// All runs, the one kept last first.
pub fn list() -> Vec<Listed> {
    let Some(root) = folder() else { return Vec::new() };
    let folders = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_run = |folder: &PathBuf| folder.join(LOCK).is_file();
    let mut found: Vec<_> = folders.filter(is_run).map(Listed::new).collect();
    found.sort_by(|a, b| (b.saved(), &b.id).cmp(&(a.saved(), &a.id)));
    found
}

/// Removes a run's folder.
///
/// # Errors
/// [`RunError::Busy`], [`RunError::Write`].
pub fn discard(folder: &Path) -> Result<(), RunError> {
    let _run = Run::open(folder)?;
    fs::remove_dir_all(folder).map_err(|source| RunError::write(folder, source))
}

/// Removes the oldest runs that no process is at work on until `limits` hold; returns their names and bytes.
///
/// # Errors
/// [`RunError::Write`].
pub fn prune(limits: Limits) -> Result<Vec<(String, u64)>, RunError> {
    let (mut kept, mut bytes, mut removed) = (0, 0, Vec::new());
    let mut runs = list();
    // Those on which little work was done go first.
    runs.sort_by_key(|run| !run.is_encoded());
    for run in runs {
        bytes += run.bytes;
        kept += 1;
        if run.busy || (kept <= limits.runs && bytes <= limits.bytes) {
            continue;
        }
        match discard(&run.folder) {
            Ok(()) => removed.push((run.id, run.bytes)),
            Err(RunError::Busy { .. }) => {}
            Err(error) => return Err(error),
        }
        bytes -= run.bytes;
        kept -= 1;
    }
    Ok(removed)
}
