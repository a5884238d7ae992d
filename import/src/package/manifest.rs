//! `wan_package.json`: what a package is made of, and whether all of it is there.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use crc32fast::Hasher;
use serde::{Deserialize, Serialize};

use crate::{ImportError, Layout, Quant, json, shards};

const NAME: &str = "wan_package.json";
const PROGRESS: &str = "wan_package.partial.json";
/// What stands behind the name of a file that is being written.
const UNFINISHED: &str = ".partial";
/// Largest file of either name that is read, in bytes.
const MAX: u64 = 16 << 20;
/// Version of the format that is written, the only one that is read.
const VERSION: u32 = 1;
/// Bytes that are read at once.
const CHUNK: usize = 1 << 22;
const DAMAGED: &str = "the package is damaged: convert the model again, or copy it again";

/// A whole package.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Manifest {
    version: u32,
    /// The source's.
    pub(crate) layout: Layout,
    /// In how many bits the large linear layers are.
    quant: Option<Quant>,
    files: Vec<Record>,
}

/// A file of a package.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    /// In the package's folder, with `/` between names.
    pub path: String,
    pub bytes: u64,
    pub crc32: u32,
    /// Relative L2 error of the weights in fewer bits, by key, if they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<BTreeMap<String, f64>>,
}

/// What is finished of a package.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Progress {
    version: u32,
    /// Of settings and source.
    identity: u32,
    pub files: Vec<Record>,
}

/// The package in `root`, its files there and as long as they should be; `None` for any other folder.
pub(crate) fn read(root: &Path) -> Result<Option<Manifest>, ImportError> {
    let path = root.join(NAME);
    if !path.is_file() {
        if !root.join(PROGRESS).is_file() {
            return Ok(None);
        }
        let detail = "an unfinished package".to_owned();
        let hint = "run the same `wan convert` again: it goes on where it stopped";
        return Err(ImportError::Package { path: root.to_owned(), detail, hint });
    }
    let manifest: Manifest = json::read_as(&path, MAX)?;
    if manifest.version != VERSION {
        let detail =
            format!("version {} of the package format, this version reads {VERSION}", manifest.version);
        return Err(ImportError::Package { path, detail, hint: "use the version of wan that made it" });
    }
    manifest.files.iter().try_for_each(|record| record.check_length(root))?;
    Ok(Some(manifest))
}

/// Compares the checksum of every file of the package in `root`; `tick` gets bytes as they are read.
///
/// # Errors
/// [`ImportError::Package`] if it is none or a file is not as it was written, [`ImportError::Io`], and
/// [`ImportError::Interrupted`] once `tick` breaks.
pub fn verify(root: &Path, tick: &mut dyn FnMut(usize, u64) -> ControlFlow<()>) -> Result<(), ImportError> {
    let Some(manifest) = read(root)? else {
        let (path, detail) = (root.to_owned(), "not a package, so there are no checksums".to_owned());
        return Err(ImportError::Package {
            path,
            detail,
            hint: "only folders that `wan convert` wrote have them",
        });
    };
    let total = manifest.files.iter().map(|record| record.bytes).sum();
    for record in &manifest.files {
        let path = record.place(root)?;
        if checksum(&path, &mut |bytes| tick(bytes, total))? != record.crc32 {
            let detail = "the checksum is not that of the file that was written".to_owned();
            return Err(ImportError::Package { path, detail, hint: DAMAGED });
        }
    }
    Ok(())
}

/// Of a file, read in parts.
fn checksum(path: &Path, tick: &mut dyn FnMut(usize) -> ControlFlow<()>) -> Result<u32, ImportError> {
    let io = |source| ImportError::Io { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(io)?;
    let (mut sum, mut part) = (Hasher::new(), vec![0; CHUNK]);
    loop {
        match file.read(&mut part) {
            Ok(0) => return Ok(sum.finalize()),
            Ok(bytes) => {
                sum.update(&part[..bytes]);
                if tick(bytes).is_break() {
                    return Err(ImportError::Interrupted);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(io(error)),
        }
    }
}

impl Record {
    /// Where the file lies, which is inside `root`.
    fn place(&self, root: &Path) -> Result<PathBuf, ImportError> {
        let inside = self.path.split('/').all(shards::is_plain_name);
        if inside {
            return Ok(self.path.split('/').fold(root.to_owned(), |path, name| path.join(name)));
        }
        let detail = format!("`{}` is not the name of a file in the package", self.path);
        Err(ImportError::Package { path: root.join(NAME), detail, hint: DAMAGED })
    }

    fn check_length(&self, root: &Path) -> Result<(), ImportError> {
        let path = self.place(root)?;
        let found = std::fs::metadata(&path).ok().filter(|found| found.is_file()).map(|found| found.len());
        if found == Some(self.bytes) {
            return Ok(());
        }
        let detail = match found {
            Some(found) => format!("{found} bytes of {}", self.bytes),
            None => "a file of the package is missing".to_owned(),
        };
        Err(ImportError::Package { path, detail, hint: DAMAGED })
    }

    /// Whether the file is there as it was written.
    fn is_whole(&self, root: &Path) -> Result<bool, ImportError> {
        if self.check_length(root).is_err() {
            return Ok(false);
        }
        Ok(checksum(&self.place(root)?, &mut |_| ControlFlow::Continue(()))? == self.crc32)
    }
}

impl Progress {
    /// Of the package that `root` is to become: none yet, or what an earlier run left.
    pub fn begin(root: &Path, identity: u32) -> Result<Self, ImportError> {
        let refused = |detail: &str, hint| {
            Err(ImportError::Package { path: root.to_owned(), detail: detail.to_owned(), hint })
        };
        if root.join(NAME).exists() {
            return refused("a package already", "choose another folder, or delete this one");
        }
        let write = |source| ImportError::Write { path: root.to_owned(), source };
        std::fs::create_dir_all(root).map_err(write)?;
        if root.join(PROGRESS).is_file() {
            let found: Self = json::read_as(&root.join(PROGRESS), MAX)?;
            if (found.version, found.identity) != (VERSION, identity) {
                let hint = "choose another folder, or delete this one";
                return refused("an unfinished package of another source or with other settings", hint);
            }
            return Ok(found);
        }
        if std::fs::read_dir(root).map_err(write)?.next().is_some() {
            return refused("the folder is not empty", "give a new folder with -o");
        }
        let begun = Self { version: VERSION, identity, files: Vec::new() };
        begun.save(root)?;
        Ok(begun)
    }

    /// The record of a file that need not be written again.
    pub fn finished(&self, root: &Path, path: &str, report: bool) -> Result<Option<Record>, ImportError> {
        let found = self.files.iter().find(|record| record.path == path);
        let Some(record) = found.filter(|record| !report || record.errors.is_some()) else { return Ok(None) };
        Ok(record.is_whole(root)?.then(|| record.clone()))
    }

    /// Notes a file.
    pub fn add(&mut self, root: &Path, record: Record) -> Result<(), ImportError> {
        match self.files.iter_mut().find(|other| other.path == record.path) {
            Some(other) => *other = record,
            None => self.files.push(record),
        }
        self.save(root)
    }

    fn save(&self, root: &Path) -> Result<(), ImportError> {
        save(&root.join(PROGRESS), self)
    }

    /// Makes the folder a package.
    pub fn end(self, root: &Path, layout: Layout, quant: Option<Quant>) -> Result<(), ImportError> {
        let manifest = Manifest { version: VERSION, layout, quant, files: self.files };
        save(&root.join(NAME), &manifest)?;
        // With the other file there, this one says nothing.
        let _ = std::fs::remove_file(root.join(PROGRESS));
        Ok(())
    }
}

/// The number of files that need not be written again for the package of this identity in `root`; for fuzzers.
///
/// # Errors
/// Those of a conversion that goes on.
#[doc(hidden)]
pub fn finished(root: &Path, identity: u32) -> Result<usize, ImportError> {
    let progress = Progress::begin(root, identity)?;
    let found = progress.files.iter().map(|record| progress.finished(root, &record.path, false));
    found.filter_map(Result::transpose).map(|record| record.map(|_| 1)).sum()
}

fn save(path: &Path, value: &impl Serialize) -> Result<(), ImportError> {
    let mut unfinished = Unfinished::new(path)?;
    let json = serde_json::to_vec_pretty(value).map_err(io::Error::from);
    let written = json.and_then(|json| unfinished.file.write_all(&json));
    written.map_err(|source| ImportError::Write { path: path.to_owned(), source })?;
    unfinished.end()
}

/// A file under a name that says it is not whole; removed unless it is ended.
pub(super) struct Unfinished {
    pub file: File,
    target: PathBuf,
    path: PathBuf,
}

impl Unfinished {
    /// An empty file that is to become `target`.
    pub fn new(target: &Path) -> Result<Self, ImportError> {
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(UNFINISHED);
        let path = target.with_file_name(name);
        let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        let file = folder.and_then(|()| File::create(&path));
        let file = file.map_err(|source| ImportError::Write { path: target.to_owned(), source })?;
        Ok(Self { file, target: target.to_owned(), path })
    }

    /// Gives the file its name once all of it is on the disk.
    pub fn end(self) -> Result<(), ImportError> {
        let whole = self.file.sync_all().and_then(|()| std::fs::rename(&self.path, &self.target));
        whole.map_err(|source| ImportError::Write { path: self.target.clone(), source })
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Fails where the file has its name.
        let _ = std::fs::remove_file(&self.path);
    }
}
