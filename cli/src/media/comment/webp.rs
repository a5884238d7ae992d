//! The XMP chunk of WebP files, its description.

use std::io::{self, BufRead, Seek, SeekFrom};

use super::{MAX_BYTES, array, damaged, length, text};

const TAG: &[u8; 4] = b"XMP ";
const BEFORE: &str = "<?xpacket begin=\"\u{feff}\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\
    <x:xmpmeta xmlns:x=\"adobe:ns:meta/\"><rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">\
    <rdf:Description rdf:about=\"\" xmlns:dc=\"http://purl.org/dc/elements/1.1/\"><dc:description><rdf:Alt>";
const OPEN: &str = "<rdf:li xml:lang=\"x-default\">";
const CLOSE: &str = "</rdf:li>";
const AFTER: &str =
    "</rdf:Alt></dc:description></rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end=\"w\"?>";

/// The chunk's tag and payload.
pub fn chunk(comment: &str) -> (&'static [u8; 4], Vec<u8>) {
    let escaped = htmlize::escape_text(comment);
    (TAG, [BEFORE, OPEN, &escaped, CLOSE, AFTER].concat().into_bytes())
}

pub fn read(reader: &mut (impl BufRead + Seek)) -> io::Result<Option<String>> {
    let end = length(reader)?;
    let mut at = 12;
    while at + 8 <= end {
        reader.seek(SeekFrom::Start(at))?;
        let [tag, size] = [array::<4>(reader)?, array::<4>(reader)?];
        let size = u64::from(u32::from_le_bytes(size));
        if tag == *TAG {
            // An escaped character has up to five.
            return description(&text(reader, size, 5 * MAX_BYTES)?);
        }
        at += 8 + size.next_multiple_of(2);
    }
    Ok(None)
}

fn description(packet: &str) -> io::Result<Option<String>> {
    let inside = packet.split_once(OPEN).and_then(|(_, rest)| rest.split_once(CLOSE));
    let text = inside.map(|(text, _)| htmlize::unescape(text).into_owned());
    match text {
        Some(text) if text.len() > MAX_BYTES => Err(damaged("the text is too long")),
        text => Ok(text),
    }
}
