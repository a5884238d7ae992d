//! Unfinished files and folders: those of this process, and those of processes that were killed.
//!
//! Whoever makes one holds a lock on it, which the system lets go of whichever way a process ends. What bears such a
//! name and can be locked is therefore nobody's, and is removed when the next file is made beside it. Windows, where a
//! lock shuts out its own process too, keeps such files.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// How names of what is unfinished begin.
pub(super) const PREFIX: &str = ".wan-unfinished-";
/// Characters of them that follow.
pub(super) const RANDOM: usize = 6;
/// Something new may be taken for a leftover before its lock is on it; not twice in a row.
const TRIES: usize = 4;

/// Paths of this process that are not yet complete.
static OURS: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
/// Folders that were looked through.
static SWEPT: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes every unfinished file and folder of this process; for leaving without unwinding.
pub fn remove_leftovers() {
    for path in std::mem::take(&mut *lock(&OURS)) {
        let _ = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
    }
}

/// A path of this process for as long as it is unfinished.
pub(super) struct Claim {
    path: PathBuf,
    #[cfg(unix)]
    _lock: Option<std::fs::File>,
}

impl Claim {
    /// What `make` makes inside `folder`, and its claim; `path` says where it is.
    pub fn new<T>(
        folder: &Path,
        make: impl Fn() -> io::Result<T>,
        path: impl Fn(&T) -> &Path,
    ) -> io::Result<(T, Self)> {
        for _ in 0..TRIES {
            let made = make()?;
            if let Some(claim) = Self::of(path(&made)) {
                if lock(&SWEPT).insert(folder.to_owned()) {
                    owned::sweep_beside(folder, &claim);
                }
                return Ok((made, claim));
            }
        }
        Err(io::Error::other("what is made here is removed at once"))
    }

    fn of(path: &Path) -> Option<Self> {
        #[cfg(unix)]
        let _lock = owned::claim(path)?;
        lock(&OURS).insert(path.to_owned());
        Some(Self {
            path: path.to_owned(),
            #[cfg(unix)]
            _lock,
        })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        lock(&OURS).remove(&self.path);
    }
}

/// Removes what killed processes of this user left unfinished in `folder`; gives the bytes of each.
pub fn sweep(folder: &Path) -> Vec<(PathBuf, u64)> {
    owned::sweep(folder)
}

/// Whether a name is one that this program gives.
#[cfg(unix)]
fn is_ours(name: &std::ffi::OsStr) -> bool {
    let rest = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
    rest.is_some_and(|rest| rest.len() == RANDOM && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

#[cfg(unix)]
mod owned {
    use std::{
        fs::{self, File, TryLockError},
        os::unix::fs::MetadataExt,
        path::{Path, PathBuf},
    };

    use rustix::fs::{Mode, OFlags};

    use super::Claim;

    /// The lock on a new path, if it is still there; without a lock where the file system knows none.
    pub fn claim(path: &Path) -> Option<Option<File>> {
        let Some(file) = open(path) else { return path.symlink_metadata().is_ok().then_some(None) };
        match file.try_lock() {
            Ok(()) => is_at(&file, path).then_some(Some(file)),
            Err(TryLockError::WouldBlock) => None,
            Err(TryLockError::Error(_)) => Some(None),
        }
    }

    /// Not through a link, and without waiting for the other end of a pipe.
    fn open(path: &Path) -> Option<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        rustix::fs::open(path, flags, Mode::empty()).ok().map(File::from)
    }

    /// Whether the path still leads to the open file.
    fn is_at(file: &File, path: &Path) -> bool {
        let (open, there) = (file.metadata(), path.symlink_metadata());
        open.is_ok_and(|open| there.is_ok_and(|there| (open.dev(), open.ino()) == (there.dev(), there.ino())))
    }

    /// Leftovers of the user whom the claimed file belongs to.
    pub fn sweep_beside(folder: &Path, claim: &Claim) {
        let Ok(ours) = claim.path.symlink_metadata() else { return };
        // Another file system's locks may say nothing; this one's has just been tried.
        if claim._lock.is_some() {
            for (path, bytes) in remove_all(folder, ours.uid()) {
                tracing::info!("{}: removed; a killed run left it, {bytes} bytes", path.display());
            }
        }
    }

    /// Leftovers of this user, whom a new file belongs to.
    pub fn sweep(folder: &Path) -> Vec<(PathBuf, u64)> {
        let probe = tempfile::tempfile().and_then(|file| file.metadata());
        probe.map(|ours| remove_all(folder, ours.uid())).unwrap_or_default()
    }

    fn remove_all(folder: &Path, user: u32) -> Vec<(PathBuf, u64)> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let named = entries.filter(|entry| super::is_ours(&entry.file_name())).map(|entry| entry.path());
        named.filter_map(|path| remove(&path, user).map(|bytes| (path, bytes))).collect()
    }

    /// Removes a file or folder of `user`'s that nobody holds; gives its bytes.
    fn remove(path: &Path, user: u32) -> Option<u64> {
        let kind = path.symlink_metadata().ok()?.file_type();
        let file = (kind.is_file() || kind.is_dir()).then(|| open(path)).flatten()?;
        let found = file.metadata().ok()?;
        // Held until the path is gone: its maker sees that it was not the first.
        file.try_lock().ok()?;
        if found.uid() != user || !is_at(&file, path) {
            return None;
        }
        let bytes = if found.is_dir() { bytes_in(path) } else { found.len() };
        let gone = if found.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        gone.is_ok().then_some(bytes)
    }

    fn bytes_in(folder: &Path) -> u64 {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let bytes = |entry: fs::DirEntry| match entry.metadata() {
            Ok(found) if found.is_dir() => bytes_in(&entry.path()),
            Ok(found) => found.len(),
            Err(_) => 0,
        };
        entries.map(bytes).sum()
    }
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{
        cell::RefCell,
        fs::{self, File},
    };

    use super::*;

    fn named(folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(format!("{PREFIX}{name}"));
        fs::write(&path, "unfinished").unwrap();
        path
    }

    #[test]
    fn what_is_taken_for_a_leftover_at_once_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let names = RefCell::new(vec!["cccccc", "bbbbbb", "aaaaaa"]);
        let make = || {
            let name = names.borrow_mut().pop().unwrap();
            let path = named(folder.path(), name);
            // Removed, and about to be, by another process.
            match name {
                "aaaaaa" => fs::remove_file(&path).map(|()| (path, None)),
                "bbbbbb" => File::open(&path).map(|file| (path, file.lock().ok().map(|()| file))),
                _ => Ok((path, None)),
            }
        };
        let ((path, _), claim) = Claim::new(folder.path(), make, |(path, _)| path).unwrap();
        assert!(names.borrow().is_empty() && path.ends_with(format!("{PREFIX}cccccc")));
        assert!(sweep(folder.path()).iter().all(|(gone, _)| *gone != path), "it is under way");
        drop(claim);
        assert_eq!(sweep(folder.path()), [(path, 10)]);
    }

    #[test]
    fn only_names_of_ours_go_and_no_link_is_followed() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let kept = other.path().join("kept");
        fs::write(&kept, "mine").unwrap();
        let link = |name: &str, to: &Path| std::os::unix::fs::symlink(to, folder.path().join(name)).unwrap();
        link(".wan-unfinished-linked", other.path());
        link(".wan-unfinished-linkto", &kept);
        for name in [".wan-unfinished-abc", ".wan-unfinished-ab.def", ".wan-aBcDeF", "wan-unfinished-aBcDeF"]
        {
            fs::write(folder.path().join(name), "mine").unwrap();
        }
        let pipe = folder.path().join(".wan-unfinished-a0pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let left = folder.path().join(".wan-unfinished-folder");
        fs::create_dir_all(left.join("vae")).unwrap();
        fs::write(left.join("vae/a"), "12345").unwrap();
        std::os::unix::fs::symlink(other.path(), left.join("vae/linked")).unwrap();
        let before = fs::read_dir(folder.path()).unwrap().count();
        let gone = sweep(folder.path());
        assert_eq!(gone.iter().map(|(path, _)| path).collect::<Vec<_>>(), [&left]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), before - 1);
        assert_eq!(fs::read_to_string(&kept).unwrap(), "mine");
    }
}

#[cfg(not(unix))]
mod owned {
    use std::path::{Path, PathBuf};

    pub fn sweep_beside(_: &Path, _: &super::Claim) {}

    pub fn sweep(_: &Path) -> Vec<(PathBuf, u64)> {
        Vec::new()
    }
}
