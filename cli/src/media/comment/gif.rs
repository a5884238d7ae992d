//! The comment extension of GIF files (GIF89a, section 24).

use std::io::{self, BufRead, Seek};

use super::{MAX_BYTES, array, damaged};

const EXTENSION: u8 = 0x21;
const COMMENT: u8 = 0xfe;
const IMAGE: u8 = 0x2c;
const TRAILER: u8 = 0x3b;

/// An extension with `comment`, in blocks of up to 255 bytes.
pub fn block(comment: &str) -> Vec<u8> {
    let mut out = vec![EXTENSION, COMMENT];
    for part in comment.as_bytes().chunks(255) {
        out.push(part.len() as u8);
        out.extend_from_slice(part);
    }
    out.push(0);
    out
}

/// The last comment.
pub fn read(reader: &mut (impl BufRead + Seek)) -> io::Result<Option<String>> {
    let [.., flags, _, _] = array::<13>(reader)?;
    skip_table(reader, flags)?;
    let mut comment = None;
    loop {
        match array(reader)? {
            [EXTENSION] => match array(reader)? {
                [COMMENT] => comment = Some(sub_blocks(reader, MAX_BYTES)?),
                _ => drop(sub_blocks(reader, 0)?),
            },
            [IMAGE] => {
                let [.., flags] = array::<9>(reader)?;
                skip_table(reader, flags)?;
                // The size of the first codes.
                array::<1>(reader)?;
                sub_blocks(reader, 0)?;
            }
            [TRAILER] => break,
            _ => return Err(damaged("a block of no known kind")),
        }
    }
    comment.map(|text| String::from_utf8(text).map_err(|_| damaged("the text is not UTF-8"))).transpose()
}

/// Skips a colour table, if the flags say that one follows.
fn skip_table(reader: &mut impl Seek, flags: u8) -> io::Result<()> {
    let colours = if flags & 0x80 == 0 { 0 } else { 2 << (flags & 7) };
    reader.seek_relative(3 * colours)
}

/// The blocks up to the empty one; of their bytes the first `keep` at most.
fn sub_blocks(reader: &mut (impl BufRead + Seek), keep: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let [size] = array(reader)?;
        match usize::from(size) {
            0 => return Ok(bytes),
            size if bytes.len() + size <= keep => {
                let start = bytes.len();
                bytes.resize(start + size, 0);
                reader.read_exact(&mut bytes[start..])?;
            }
            size => reader.seek_relative(size as i64)?,
        }
    }
}
