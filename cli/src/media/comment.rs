//! The text that a file carries beside its pictures.

mod gif;
mod mp4;
mod png;
mod webp;

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    path::Path,
};

pub(super) use self::{gif::block as gif_block, mp4::user_data, png::text_chunk, webp::chunk as webp_chunk};

/// The longest text that is read.
const MAX_BYTES: usize = 1 << 20;

/// A kind of file that can carry a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    Mp4,
    Gif,
    Webp,
    Png,
}

impl Container {
    /// By the file's first bytes; `None` for anything else.
    ///
    /// # Errors
    /// What reading the file says.
    pub fn of(path: &Path) -> io::Result<Option<Self>> {
        let mut start = Vec::new();
        File::open(path)?.take(12).read_to_end(&mut start)?;
        Ok(match start.as_slice() {
            [_, _, _, _, b'f', b't', b'y', b'p', ..] => Some(Self::Mp4),
            [b'G', b'I', b'F', b'8', ..] => Some(Self::Gif),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P'] => Some(Self::Webp),
            [0x89, b'P', b'N', b'G', ..] => Some(Self::Png),
            _ => None,
        })
    }

    /// The text in a file of this kind, if it carries one.
    ///
    /// # Errors
    /// What reading the file says, and [`io::ErrorKind::InvalidData`] or [`io::ErrorKind::UnexpectedEof`] for a
    /// damaged file.
    pub fn read(self, path: &Path) -> io::Result<Option<String>> {
        let mut reader = BufReader::new(File::open(path)?);
        match self {
            Self::Mp4 => mp4::read(&mut reader),
            Self::Gif => gif::read(&mut reader),
            Self::Webp => webp::read(&mut reader),
            Self::Png => png::read(reader),
        }
    }
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// The next `length` bytes as text; refuses more than `limit`.
fn text(reader: &mut impl Read, length: u64, limit: usize) -> io::Result<String> {
    if length > limit as u64 {
        return Err(damaged("the text is too long"));
    }
    let mut bytes = Vec::new();
    if reader.take(length).read_to_end(&mut bytes)? as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    String::from_utf8(bytes).map_err(|_| damaged("the text is not UTF-8"))
}

fn array<const N: usize>(reader: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes).map(|()| bytes)
}

/// How long the file is; the position is at its start then.
fn length(reader: &mut impl Seek) -> io::Result<u64> {
    let length = reader.seek(SeekFrom::End(0))?;
    reader.rewind()?;
    Ok(length)
}
