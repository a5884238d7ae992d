//! GIF: a palette per frame, repeating for ever.

use std::{
    io::{BufWriter, Read, Seek, SeekFrom, Write},
    path::Path,
};

use image::{
    Delay, DynamicImage, Frame, RgbImage,
    codecs::gif::{GifEncoder, Repeat},
};

use super::{Format, FrameWriter, MediaError, comment, temporary::TemporaryFile};

/// Pixels of a frame that its palette is searched over.
const PALETTE_PIXELS: u32 = 1 << 16;
/// Last byte of every GIF.
const TRAILER: u8 = 0x3b;

/// Encodes frames as they come.
pub struct GifWriter {
    encoder: GifEncoder<BufWriter<std::fs::File>>,
    file: TemporaryFile,
    format: Format,
    comment: Option<Vec<u8>>,
    count: usize,
}

impl GifWriter {
    /// Refuses sides above 65535, which the format cannot hold.
    pub fn new(
        path: &Path,
        format: Format,
        overwrite: bool,
        comment: Option<&str>,
    ) -> Result<Self, MediaError> {
        let (width, height) = (format.width, format.height);
        if width.max(height) > u32::from(u16::MAX) {
            return Err(MediaError::TooLarge { kind: "GIF", width, height });
        }
        let file = TemporaryFile::new(path, overwrite)?;
        let writer = BufWriter::new(file.file().try_clone().map_err(|e| file.error(e))?);
        // Every n-th pixel; 10 is the coarsest that still looks good.
        let stride = (u64::from(width) * u64::from(height) / u64::from(PALETTE_PIXELS)).clamp(1, 10);
        let mut encoder = GifEncoder::new_with_speed(writer, stride as i32);
        encoder.set_repeat(Repeat::Infinite).map_err(|e| file.image_error("GIF", e))?;
        let comment = comment.map(comment::gif_block);
        Ok(Self { encoder, file, format, comment, count: 0 })
    }

    /// The format counts in hundredths of a second.
    fn delay(&self) -> Delay {
        let hundredths = self.format.time(self.count + 1, 100) - self.format.time(self.count, 100);
        // Players replace a delay below two hundredths by a tenth of a second.
        Delay::from_numer_denom_ms(hundredths.max(2) as u32 * 10, 1)
    }
}

impl FrameWriter for GifWriter {
    fn push(&mut self, frame: &RgbImage) -> Result<(), MediaError> {
        self.format.check(frame)?;
        let rgba = DynamicImage::ImageRgb8(frame.clone()).into_rgba8();
        let frame = Frame::from_parts(rgba, 0, 0, self.delay());
        self.encoder.encode_frame(frame).map_err(|e| self.file.image_error("GIF", e))?;
        self.count += 1;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), MediaError> {
        let Self { encoder, file, comment, count, .. } = *self;
        if count == 0 {
            return Err(MediaError::Empty);
        }
        // Writes the trailer; the encoder has no other way to end a file, and swallows an error of this last write.
        drop(encoder);
        let mut last = [0];
        let mut end = file.file();
        end.seek(SeekFrom::End(-1)).and_then(|_| end.read_exact(&mut last)).map_err(|e| file.error(e))?;
        if last != [TRAILER] {
            return Err(MediaError::encode("GIF", "the end of the file could not be written"));
        }
        if let Some(mut comment) = comment {
            // In the trailer's place, which follows again.
            comment.push(TRAILER);
            end.seek(SeekFrom::End(-1)).and_then(|_| end.write_all(&comment)).map_err(|e| file.error(e))?;
        }
        file.persist()
    }
}
