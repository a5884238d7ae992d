//! The picture of a video under way: a file beside the output, and in the terminal.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use image::RgbImage;

use super::Job;
use crate::{
    args::InlineChoice,
    media::{Inline, MediaError, Output, TemporaryFile, encode_png},
    progress::Progress,
};

/// Where previews go.
pub struct Previewed {
    path: PathBuf,
    inline: Option<Inline>,
    /// Whether the file is there.
    shown: bool,
    failed: bool,
}

impl Previewed {
    /// Asks a terminal whose name says nothing what it can draw, if it is to be drawn in.
    pub fn new(job: &Job, progress: &Progress) -> Self {
        let inline =
            if job.request.preview.is_some() && progress.draws() { inline(job.inline) } else { None };
        // A run that was left may have left its picture.
        let shown = job.request.trust.resume.is_some();
        Self { path: path(&job.output), inline, shown, failed: false }
    }

    /// Replaces the file. One that cannot be written is told once, and is no reason to stop.
    pub fn show(&mut self, picture: &RgbImage, progress: &Progress) {
        let result = encoded(picture).and_then(|png| {
            if let Some(inline) = self.inline {
                progress.drawing(&inline.show(picture, &png));
            }
            write(&self.path, &png).map_err(io::Error::other)
        });
        match result {
            Ok(()) => self.shown = true,
            Err(error) if !std::mem::replace(&mut self.failed, true) => {
                progress.line(&format!("warning: no preview: {error}"));
            }
            Err(_) => {}
        }
    }

    /// After the video itself is there.
    pub fn remove(&self) {
        if self.shown {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn inline(choice: InlineChoice) -> Option<Inline> {
    match choice {
        InlineChoice::Auto => Inline::of_terminal(),
        InlineChoice::Kitty => Some(Inline::Kitty),
        InlineChoice::Iterm => Some(Inline::Iterm),
        InlineChoice::Sixel => Some(Inline::Sixel),
        InlineChoice::None => None,
    }
}

fn encoded(picture: &RgbImage) -> io::Result<Vec<u8>> {
    let mut png = Vec::new();
    encode_png(picture, None, &mut png).map_err(io::Error::other)?;
    Ok(png)
}

fn write(path: &Path, png: &[u8]) -> Result<(), MediaError> {
    let file = TemporaryFile::new(path, true)?;
    io::Write::write_all(&mut file.file(), png).map_err(|e| file.error(e))?;
    file.persist()
}

/// `<output>.preview.png`; in the folder of numbered pictures `<prefix>preview.png`.
fn path(output: &Output) -> PathBuf {
    match output {
        Output::Sequence(pattern) => pattern.existing_folder().join(format!("{}preview.png", pattern.prefix)),
        Output::Mp4(path) | Output::Gif(path) | Output::Webp(path) | Output::Png(path) => {
            let mut name = OsString::from(path);
            name.push(".preview.png");
            name.into()
        }
    }
}
