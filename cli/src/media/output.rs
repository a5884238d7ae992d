//! What a `--output` value asks for, checked before any work.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    MediaError,
    temporary::{TemporaryFile, TemporaryFolder, folder_of},
};

/// Where the frames go, by the extension of the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    Mp4(PathBuf),
    Gif(PathBuf),
    Webp(PathBuf),
    /// One frame.
    Png(PathBuf),
    Sequence(Pattern),
}

/// Numbered files `<folder>/<prefix>0000<suffix>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    pub folder: PathBuf,
    pub prefix: String,
    pub suffix: String,
    /// Least number of digits.
    pub digits: usize,
}

impl Output {
    /// Reads the kind of output from the name; a folder (existing, or written with a trailing `/`) takes
    /// `frame_0000.png` and so on.
    pub fn parse(path: &Path) -> Result<Self, MediaError> {
        if path.is_dir() || path.to_string_lossy().ends_with(['/', std::path::MAIN_SEPARATOR]) {
            return Ok(Self::Sequence(Pattern::in_folder(path)));
        }
        let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
        let path = path.to_owned();
        match extension.as_str() {
            "mp4" => Ok(Self::Mp4(path)),
            "gif" => Ok(Self::Gif(path)),
            "webp" => Ok(Self::Webp(path)),
            "png" if path.to_string_lossy().contains('%') => Pattern::parse(&path).map(Self::Sequence),
            "png" => Ok(Self::Png(path)),
            "webm" => Err(MediaError::Webm { path }),
            _ => Err(MediaError::Extension { path }),
        }
    }

    /// The path to report: the file, the pattern, or the pattern inside the folder.
    pub fn path(&self) -> PathBuf {
        match self {
            Self::Mp4(path) | Self::Gif(path) | Self::Webp(path) | Self::Png(path) => path.clone(),
            Self::Sequence(pattern) => pattern.display(),
        }
    }

    /// Where an unfinished one may lie.
    pub fn folders(&self) -> Vec<PathBuf> {
        match self {
            Self::Mp4(path) | Self::Gif(path) | Self::Webp(path) | Self::Png(path) => {
                vec![folder_of(path).to_owned()]
            }
            Self::Sequence(pattern) => vec![pattern.folder.clone(), folder_of(&pattern.folder).to_owned()],
        }
    }

    /// Whether something is there already.
    pub fn is_taken(&self) -> bool {
        match self {
            Self::Mp4(path) | Self::Gif(path) | Self::Webp(path) | Self::Png(path) => {
                path.symlink_metadata().is_ok()
            }
            Self::Sequence(pattern) => !pattern.taken().is_empty(),
        }
    }

    /// How many numbered pictures are there; `None` for one file.
    pub fn pictures(&self) -> Option<usize> {
        match self {
            Self::Sequence(pattern) => Some(pattern.taken().len()),
            _ => None,
        }
    }

    /// Makes the folder that the output lies in; a folder of numbered pictures itself comes with them.
    pub fn make_folder(&self) -> Result<(), MediaError> {
        let folder = match self {
            Self::Mp4(path) | Self::Gif(path) | Self::Webp(path) | Self::Png(path) => folder_of(path),
            Self::Sequence(pattern) => folder_of(&pattern.folder),
        };
        let path = folder.to_owned();
        fs::create_dir_all(folder).map_err(|source| MediaError::Unwritable { path, source })
    }

    /// Refuses what cannot succeed: a taken name, a missing or unwritable folder, one `.png` for several frames.
    /// `frames` is what the user asked for, if anything.
    pub fn check(&self, frames: Option<usize>, overwrite: bool) -> Result<(), MediaError> {
        if let Self::Png(path) = self
            && frames != Some(1)
        {
            return Err(MediaError::OnePng { path: path.clone() });
        }
        match self {
            Self::Mp4(path) | Self::Gif(path) | Self::Webp(path) | Self::Png(path) => {
                check_folder(folder_of(path))?;
                check_new(path, overwrite)?;
                TemporaryFile::new(path, overwrite).map(drop)
            }
            Self::Sequence(pattern) => {
                check_folder(pattern.existing_folder())?;
                check_free(self.is_taken(), &pattern.display(), overwrite)?;
                TemporaryFolder::new(pattern.existing_folder()).map(drop)
            }
        }
    }
}

fn check_folder(folder: &Path) -> Result<(), MediaError> {
    if folder.is_dir() { Ok(()) } else { Err(MediaError::NoFolder { path: folder.to_owned() }) }
}

/// Refuses a path where something is, unless it may be replaced.
pub fn check_new(path: &Path, overwrite: bool) -> Result<(), MediaError> {
    check_free(path.symlink_metadata().is_ok(), path, overwrite)
}

fn check_free(taken: bool, path: &Path, overwrite: bool) -> Result<(), MediaError> {
    if taken && !overwrite { Err(MediaError::Exists { path: path.to_owned() }) } else { Ok(()) }
}

impl Pattern {
    fn in_folder(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), prefix: "frame_".into(), suffix: ".png".into(), digits: 4 }
    }

    /// `name_%04d.png` or `name_%d.png`.
    fn parse(path: &Path) -> Result<Self, MediaError> {
        let refused = || MediaError::Pattern { path: path.to_owned() };
        let name = path.file_name().and_then(|n| n.to_str()).ok_or_else(refused)?;
        let (prefix, rest) = name.split_once('%').ok_or_else(refused)?;
        let (number, suffix) = rest.split_once('d').ok_or_else(refused)?;
        let digits = match number.strip_prefix('0') {
            Some(width) => width.parse().ok().filter(|n| (1..=9).contains(n)).ok_or_else(refused)?,
            None if number.is_empty() => 1,
            None => return Err(refused()),
        };
        if suffix.contains('%') {
            return Err(refused());
        }
        let folder = folder_of(path).to_owned();
        Ok(Self { folder, prefix: prefix.to_owned(), suffix: suffix.to_owned(), digits })
    }

    /// The pattern in the notation it is given in.
    pub fn display(&self) -> PathBuf {
        let number = if self.digits == 1 { "%d".to_owned() } else { format!("%0{}d", self.digits) };
        self.folder.join(format!("{}{number}{}", self.prefix, self.suffix))
    }

    /// File name of frame `index`, counted from 0.
    pub fn name(&self, index: usize) -> String {
        format!("{}{index:0digits$}{}", self.prefix, self.suffix, digits = self.digits)
    }

    /// The folder itself, or the one it will be created in.
    pub fn existing_folder(&self) -> &Path {
        if self.folder.is_dir() { &self.folder } else { folder_of(&self.folder) }
    }

    /// Files there that the pattern names.
    pub fn taken(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return Vec::new() };
        entries
            .flatten()
            .filter(|e| e.file_name().to_str().is_some_and(|n| self.matches(n)))
            .map(|e| e.path())
            .collect()
    }

    fn matches(&self, name: &str) -> bool {
        let number = name.strip_prefix(&self.prefix).and_then(|n| n.strip_suffix(&self.suffix));
        number.is_some_and(|n| n.len() >= self.digits && n.bytes().all(|b| b.is_ascii_digit()))
    }
}
