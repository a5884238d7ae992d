//! Animated WebP: lossless frames in the container of <https://developers.google.com/speed/webp/docs/riff_container>.

use std::{
    io::{Seek, SeekFrom, Write},
    path::Path,
};

use image::{ExtendedColorType, RgbImage, codecs::webp::WebPEncoder};

use super::{Format, FrameWriter, MediaError, comment, temporary::TemporaryFile};

/// Largest side: 14 bits.
const MAX_SIDE: u32 = 16383;
/// `RIFF`, size, `WEBP`.
const RIFF_HEADER: usize = 12;
/// VP8X flag: the file is an animation.
const ANIMATION: u8 = 0b10;
/// VP8X flag: there is an XMP chunk.
const XMP: u8 = 0b100;
/// ANMF flag: the frame replaces the canvas instead of being blended onto it.
const REPLACE: u8 = 0b10;

/// Encodes frames as they come.
pub struct WebpWriter {
    file: TemporaryFile,
    format: Format,
    comment: Option<String>,
    count: usize,
    /// Bytes behind the RIFF size field.
    size: u64,
}

impl WebpWriter {
    /// Refuses sides above 16383, which the format cannot hold.
    pub fn new(
        path: &Path,
        format: Format,
        overwrite: bool,
        comment: Option<&str>,
    ) -> Result<Self, MediaError> {
        let (width, height) = (format.width, format.height);
        if width.max(height) > MAX_SIDE {
            return Err(MediaError::TooLarge { kind: "WebP", width, height });
        }
        let file = TemporaryFile::new(path, overwrite)?;
        let comment = comment.map(str::to_owned);
        let flags = ANIMATION | if comment.is_some() { XMP } else { 0 };
        let mut writer = Self { file, format, comment, count: 0, size: 0 };
        writer.write(&header(flags, width, height))?;
        // The RIFF tag and the size field itself do not count.
        writer.size -= 8;
        Ok(writer)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), MediaError> {
        self.file.file().write_all(bytes).map_err(|e| self.file.error(e))?;
        self.size += bytes.len() as u64;
        Ok(())
    }
}

impl FrameWriter for WebpWriter {
    fn push(&mut self, frame: &RgbImage) -> Result<(), MediaError> {
        self.format.check(frame)?;
        let milliseconds = self.format.time(self.count + 1, 1000) - self.format.time(self.count, 1000);
        let chunk = animation_frame(frame, milliseconds as u32)?;
        self.write(&chunk)?;
        self.count += 1;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), MediaError> {
        if self.count == 0 {
            return Err(MediaError::Empty);
        }
        if let Some(comment) = self.comment.take() {
            let (tag, payload) = comment::webp_chunk(&comment);
            let mut chunk = Vec::new();
            push_chunk(&mut chunk, tag, &payload);
            self.write(&chunk)?;
        }
        let size = u32::try_from(self.size).map_err(|_| MediaError::encode("WebP", "more than 4 GiB"))?;
        let mut file = self.file.file();
        file.seek(SeekFrom::Start(4)).map_err(|e| self.file.error(e))?;
        file.write_all(&size.to_le_bytes()).map_err(|e| self.file.error(e))?;
        self.file.persist()
    }
}

/// The low three bytes, little endian.
fn u24(value: u32) -> [u8; 3] {
    let [a, b, c, _] = value.to_le_bytes();
    [a, b, c]
}

fn push_chunk(out: &mut Vec<u8>, tag: &[u8; 4], payload: &[u8]) {
    out.extend_from_slice(tag);
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(payload);
    if payload.len() % 2 == 1 {
        out.push(0);
    }
}

/// Everything before the first frame; the RIFF size is filled in at the end.
fn header(flags: u8, width: u32, height: u32) -> Vec<u8> {
    let mut extended = vec![flags, 0, 0, 0];
    extended.extend_from_slice(&u24(width - 1));
    extended.extend_from_slice(&u24(height - 1));
    // Black opaque background (BGRA), repeating for ever.
    let animation = [0, 0, 0, 255, 0, 0];
    let mut out = b"RIFF\0\0\0\0WEBP".to_vec();
    push_chunk(&mut out, b"VP8X", &extended);
    push_chunk(&mut out, b"ANIM", &animation);
    out
}

/// An `ANMF` chunk around the `VP8L` chunk of a still.
fn animation_frame(frame: &RgbImage, milliseconds: u32) -> Result<Vec<u8>, MediaError> {
    let (width, height) = frame.dimensions();
    let mut still = Vec::new();
    WebPEncoder::new_lossless(&mut still)
        .encode(frame, width, height, ExtendedColorType::Rgb8)
        .map_err(|e| MediaError::encode("WebP", e))?;
    let mut payload = Vec::with_capacity(still.len() + 16);
    // Offset 0, 0.
    payload.extend_from_slice(&[0; 6]);
    payload.extend_from_slice(&u24(width - 1));
    payload.extend_from_slice(&u24(height - 1));
    payload.extend_from_slice(&u24(milliseconds));
    payload.push(REPLACE);
    payload.extend_from_slice(&still[RIFF_HEADER..]);
    let mut out = Vec::with_capacity(payload.len() + 8);
    push_chunk(&mut out, b"ANMF", &payload);
    Ok(out)
}
