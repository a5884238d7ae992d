//! The text chunk `Comment` of PNG files.

use std::io::{self, BufRead, Seek};

use png::{Decoder, DecodingError, Limits, text_metadata::ITXtChunk};

use super::MAX_BYTES;

const KEYWORD: &str = "Comment";

pub fn text_chunk(comment: &str) -> ITXtChunk {
    ITXtChunk::new(KEYWORD, comment)
}

/// In any of the three kinds of text chunks, before the pixels.
pub fn read(reader: impl BufRead + Seek) -> io::Result<Option<String>> {
    let decoder = Decoder::new_with_limits(reader, Limits { bytes: 4 * MAX_BYTES });
    let reader = decoder.read_info().map_err(error)?;
    let info = reader.info();
    if let Some(chunk) = info.utf8_text.iter().find(|chunk| chunk.keyword == KEYWORD) {
        let mut chunk = chunk.clone();
        chunk.decompress_text_with_limit(MAX_BYTES).map_err(error)?;
        return chunk.get_text().map(Some).map_err(error);
    }
    if let Some(chunk) = info.compressed_latin1_text.iter().find(|chunk| chunk.keyword == KEYWORD) {
        let mut chunk = chunk.clone();
        chunk.decompress_text_with_limit(MAX_BYTES).map_err(error)?;
        return chunk.get_text().map(Some).map_err(error);
    }
    let plain = info.uncompressed_latin1_text.iter().find(|chunk| chunk.keyword == KEYWORD);
    Ok(plain.map(|chunk| chunk.text.clone()))
}

fn error(error: DecodingError) -> io::Error {
    match error {
        DecodingError::IoError(error) => error,
        error => io::Error::new(io::ErrorKind::InvalidData, error),
    }
}
