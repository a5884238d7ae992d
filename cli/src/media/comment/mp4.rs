//! The comment of MP4 files, `moov/udta/meta/ilst/©cmt/data`, where players and `ffprobe` look for it.

use std::io::{self, BufRead, Seek, SeekFrom};

use super::{MAX_BYTES, array, damaged, length, text};

const COMMENT: [u8; 4] = *b"\xa9cmt";
const ENCODER: [u8; 4] = *b"\xa9too";
/// What says that `meta` holds such a list.
const HANDLER: &[u8] = b"\0\0\0\0\0\0\0\0mdirappl\0\0\0\0\0\0\0\0\0";
/// Version and flags of a full box.
const FULL: u64 = 4;
/// Kind of data (1: UTF-8) and language.
const UTF8: [u8; 8] = [0, 0, 0, 1, 0, 0, 0, 0];

/// A `udta` box with `comment` and this program's name in it.
pub fn user_data(comment: &str) -> Vec<u8> {
    let item = |tag, text: &str| boxed(tag, &boxed(*b"data", &[&UTF8, text.as_bytes()].concat()));
    let encoder = concat!("wan ", env!("CARGO_PKG_VERSION"));
    let list = boxed(*b"ilst", &[item(ENCODER, encoder), item(COMMENT, comment)].concat());
    let handler = boxed(*b"hdlr", HANDLER);
    boxed(*b"udta", &boxed(*b"meta", &[&[0; FULL as usize], handler.as_slice(), &list].concat()))
}

/// The texts of this program are far below 4 GiB.
fn boxed(tag: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let size = (payload.len() as u32 + 8).to_be_bytes();
    [&size, &tag, payload].concat()
}

pub fn read(reader: &mut (impl BufRead + Seek)) -> io::Result<Option<String>> {
    let mut range = (0, length(reader)?);
    for (tag, skip) in
        [(*b"moov", 0), (*b"udta", 0), (*b"meta", FULL), (*b"ilst", 0), (COMMENT, 0), (*b"data", 8)]
    {
        let Some((start, end)) = find(reader, range, tag)? else { return Ok(None) };
        range = (start + skip, end);
    }
    let (start, end) = range;
    reader.seek(SeekFrom::Start(start))?;
    let length = end.checked_sub(start).ok_or_else(|| damaged("a box is too small"))?;
    text(reader, length, MAX_BYTES).map(Some)
}

/// Where the payload of the first box `tag` between two positions starts and ends.
fn find(
    reader: &mut (impl BufRead + Seek),
    (mut at, end): (u64, u64),
    tag: [u8; 4],
) -> io::Result<Option<(u64, u64)>> {
    while end.saturating_sub(at) >= 8 {
        reader.seek(SeekFrom::Start(at))?;
        let [size, found] = [array::<4>(reader)?, array::<4>(reader)?];
        let (size, header) = match u32::from_be_bytes(size) {
            0 => (end - at, 8),
            1 => (u64::from_be_bytes(array(reader)?), 16),
            size => (u64::from(size), 8),
        };
        if size < header || size > end - at {
            return Err(damaged("a box has no possible size"));
        }
        if found == tag {
            return Ok(Some((at + header, at + size)));
        }
        at += size;
    }
    Ok(None)
}
