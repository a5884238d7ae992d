//! Video and image files, each written under a temporary name and renamed when complete.

mod comment;
mod error;
mod gif;
mod inline;
mod leftovers;
mod mp4;
mod output;
mod png;
mod sixel;
mod temporary;
mod terminal;
mod webp;
mod yuv;

use image::RgbImage;

pub use comment::Container;
pub use error::MediaError;
pub use inline::Inline;
pub use leftovers::{remove_leftovers, sweep};
pub use output::{Output, check_new};
pub(crate) use png::encode as encode_png;
pub(crate) use temporary::{TemporaryFile, TemporaryFolder};

/// What every frame of a file has in common.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Frames per second, at least 1.
    pub fps: u32,
    /// How many frames will come.
    pub frames: usize,
}

/// Takes frames in order. Dropped before [`Self::finish`], it leaves nothing behind.
pub trait FrameWriter {
    /// Appends a frame; refuses one of another size than the format's.
    fn push(&mut self, frame: &RgbImage) -> Result<(), MediaError>;

    /// Completes the file and gives it its name.
    fn finish(self: Box<Self>) -> Result<(), MediaError>;
}

impl Output {
    /// A writer under a temporary name beside this output. The file, or each of the files, carries `comment`, which
    /// [`Container::read`] reads back.
    pub fn open(
        &self,
        format: Format,
        overwrite: bool,
        comment: Option<&str>,
    ) -> Result<Box<dyn FrameWriter>, MediaError> {
        Ok(match self {
            Self::Mp4(path) => Box::new(mp4::Mp4Writer::new(path, format, overwrite, comment)?),
            Self::Gif(path) => Box::new(gif::GifWriter::new(path, format, overwrite, comment)?),
            Self::Webp(path) => Box::new(webp::WebpWriter::new(path, format, overwrite, comment)?),
            Self::Png(path) => Box::new(png::PngWriter::new(path, format, overwrite, comment)?),
            Self::Sequence(pattern) => {
                Box::new(png::SequenceWriter::new(pattern, format, overwrite, comment)?)
            }
        })
    }
}

impl Format {
    /// The start of frame `index` in units of `1 / scale` seconds, rounded; differences of it are durations without
    /// drift.
    fn time(&self, index: usize, scale: u64) -> u64 {
        let fps = u64::from(self.fps.max(1));
        (index as u64 * scale + fps / 2) / fps
    }

    fn check(&self, frame: &RgbImage) -> Result<(), MediaError> {
        if frame.dimensions() == (self.width, self.height) {
            return Ok(());
        }
        let (width, height) = frame.dimensions();
        Err(MediaError::FrameSize { width, height, expected_width: self.width, expected_height: self.height })
    }
}
