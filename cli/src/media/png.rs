//! PNG: one frame, or a numbered sequence that appears all at once.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use image::{ImageError, RgbImage};
use png::{BitDepth, ColorType, Compression, Encoder, EncodingError, Filter, Info};

use super::{
    Format, FrameWriter, MediaError, comment,
    output::Pattern,
    temporary::{TemporaryFile, TemporaryFolder},
};

/// One picture as a PNG file.
pub(crate) fn encode(frame: &RgbImage, comment: Option<&str>, out: impl Write) -> Result<(), ImageError> {
    let mut out = BufWriter::new(out);
    encode_into(frame, comment, &mut out).map_err(|error| match error {
        // As it is, for what its kind says.
        EncodingError::IoError(error) => ImageError::IoError(error),
        error => ImageError::IoError(error.into()),
    })?;
    Ok(out.flush()?)
}

fn encode_into(frame: &RgbImage, comment: Option<&str>, out: impl Write) -> Result<(), EncodingError> {
    let mut info = Info::with_size(frame.width(), frame.height());
    info.utf8_text.extend(comment.map(comment::text_chunk));
    let mut encoder = Encoder::with_info(out, info)?;
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Fast);
    encoder.set_filter(Filter::Adaptive);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(frame)?;
    writer.finish()
}

/// One frame in one file.
pub struct PngWriter {
    file: TemporaryFile,
    path: PathBuf,
    format: Format,
    comment: Option<String>,
    written: bool,
}

impl PngWriter {
    /// Refuses a format of several frames.
    pub fn new(
        path: &Path,
        format: Format,
        overwrite: bool,
        comment: Option<&str>,
    ) -> Result<Self, MediaError> {
        if format.frames != 1 {
            return Err(MediaError::OnePng { path: path.to_owned() });
        }
        let file = TemporaryFile::new(path, overwrite)?;
        let comment = comment.map(str::to_owned);
        Ok(Self { file, path: path.to_owned(), format, comment, written: false })
    }
}

impl FrameWriter for PngWriter {
    fn push(&mut self, frame: &RgbImage) -> Result<(), MediaError> {
        self.format.check(frame)?;
        if std::mem::replace(&mut self.written, true) {
            return Err(MediaError::OnePng { path: self.path.clone() });
        }
        encode(frame, self.comment.as_deref(), self.file.file()).map_err(|e| self.file.image_error("PNG", e))
    }

    fn finish(self: Box<Self>) -> Result<(), MediaError> {
        if !self.written {
            return Err(MediaError::Empty);
        }
        self.file.persist()
    }
}

/// Numbered files, written into a temporary folder and moved at the end.
pub struct SequenceWriter {
    folder: TemporaryFolder,
    pattern: Pattern,
    format: Format,
    overwrite: bool,
    comment: Option<String>,
    count: usize,
}

impl SequenceWriter {
    /// A writer for files that `pattern` names.
    pub fn new(
        pattern: &Pattern,
        format: Format,
        overwrite: bool,
        comment: Option<&str>,
    ) -> Result<Self, MediaError> {
        let folder = TemporaryFolder::new(pattern.existing_folder())?;
        let comment = comment.map(str::to_owned);
        Ok(Self { folder, pattern: pattern.clone(), format, overwrite, comment, count: 0 })
    }

    fn move_all(&self) -> std::io::Result<()> {
        for index in 0..self.count {
            let name = self.pattern.name(index);
            fs::rename(self.folder.path().join(&name), self.pattern.folder.join(&name))?;
        }
        Ok(())
    }
}

impl FrameWriter for SequenceWriter {
    fn push(&mut self, frame: &RgbImage) -> Result<(), MediaError> {
        self.format.check(frame)?;
        let name = self.pattern.name(self.count);
        let file = File::create_new(self.folder.path().join(&name)).map_err(ImageError::IoError);
        let result = file.and_then(|file| encode(frame, self.comment.as_deref(), &file));
        result.map_err(|e| MediaError::image("PNG", &self.pattern.folder.join(name), e))?;
        self.count += 1;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), MediaError> {
        if self.count == 0 {
            return Err(MediaError::Empty);
        }
        let taken = self.pattern.taken();
        if !taken.is_empty() && !self.overwrite {
            return Err(MediaError::Exists { path: self.pattern.display() });
        }
        let failed = |source| MediaError::Write { path: self.pattern.display(), source };
        fs::create_dir_all(&self.pattern.folder).map_err(failed)?;
        // A longer sequence of before would otherwise show through behind the new one.
        taken.iter().try_for_each(fs::remove_file).map_err(failed)?;
        self.move_all().map_err(failed)
    }
}
