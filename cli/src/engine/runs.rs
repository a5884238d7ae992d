//! Runs that can be gone on from: one folder each in the user's state folder.

mod decoding;
mod error;
mod keeper;
mod list;
mod resumed;
mod state;

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::OnceLock,
    thread,
    time::{Duration, SystemTime},
};

use etcetera::BaseStrategy;

pub use decoding::Decoded;
pub use error::RunError;
pub use keeper::{Keeper, Kept, SaveEvery, Saved};
pub use list::{Limits, Listed, discard, list, prune};
pub use resumed::{Resumed, hash_inputs};
pub use state::{FILE, Header, Input, read, read_header};

/// What is locked while a run is under way. The system lets go of it whichever way a process ends.
const LOCK: &str = "lock";
const LOCK_TRIES: usize = 5;
/// How the names of files that are being written begin.
const UNFINISHED: &str = ".wan-";

/// Where runs are kept: `WAN_STATE`, or this program's folder in the user's state folder.
pub fn folder() -> Option<PathBuf> {
    // Absolute, for a run that goes on does so in its own folder.
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = || match std::env::var_os("WAN_STATE").filter(|folder| !folder.is_empty()) {
        Some(folder) => std::path::absolute(folder).ok(),
        None => {
            let user = etcetera::base_strategy::choose_native_strategy().ok()?;
            // What Windows calls the cache folder is the one that does not follow a user from machine to machine.
            let other = if cfg!(windows) { user.cache_dir() } else { user.data_dir() };
            let state = user.state_dir().unwrap_or(other);
            Some(state.join("wan").join("runs"))
        }
    };
    FOLDER.get_or_init(found).clone()
}

/// A run's folder, which no other process can use meanwhile.
#[derive(Debug)]
pub struct Run {
    folder: PathBuf,
    _lock: File,
}

impl Run {
    /// A new folder named by date and time.
    ///
    /// # Errors
    /// [`RunError::Write`], and [`RunError::NoFolder`] where the system names no place for it.
    pub fn create(started: SystemTime) -> Result<Self, RunError> {
        let root = folder().ok_or(RunError::NoFolder)?;
        fs::create_dir_all(&root).map_err(|source| RunError::write(&root, source))?;
        let date = humantime::format_rfc3339_seconds(started).to_string();
        let date: String = date.chars().filter(char::is_ascii_alphanumeric).take(15).collect();
        let name = |count: u32| if count == 0 { date.clone() } else { format!("{date}-{count}") };
        for count in 0.. {
            let folder = root.join(name(count));
            match fs::create_dir(&folder) {
                Ok(()) => return Self::open(&folder),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(RunError::write(&folder, source)),
            }
        }
        Err(RunError::NoFolder)
    }

    /// An existing folder; what an earlier process left half written in it goes.
    ///
    /// # Errors
    /// [`RunError::Busy`] if it is in use, [`RunError::Write`].
    pub fn open(folder: &Path) -> Result<Self, RunError> {
        let write = |source| RunError::write(folder, source);
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder.join(LOCK))
            .map_err(write)?;
        let mut tries = 0;
        while let Err(error) = lock.try_lock() {
            match error {
                // `wan runs` looks at a lock by holding it for a moment.
                TryLockError::WouldBlock if tries < LOCK_TRIES => thread::sleep(Duration::from_millis(20)),
                TryLockError::WouldBlock => return Err(RunError::Busy { id: id(folder) }),
                TryLockError::Error(source) => return Err(write(source)),
            }
            tries += 1;
        }
        for entry in fs::read_dir(folder).map_err(write)?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(Self { folder: folder.to_owned(), _lock: lock })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn state(&self) -> PathBuf {
        self.folder.join(FILE)
    }
}

/// The name of a run's folder.
pub fn id(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// How long ago a date of a header was; nothing for one in the future.
pub fn age(date: &str) -> Duration {
    let then = humantime::parse_rfc3339(date).unwrap_or(SystemTime::UNIX_EPOCH);
    SystemTime::now().duration_since(then).unwrap_or_default()
}

/// Makes the names of a folder's files last, where the system has a way.
fn sync_folder(folder: &Path) {
    #[cfg(unix)]
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    #[cfg(not(unix))]
    let _ = folder;
}
