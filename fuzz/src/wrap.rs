//! Files around the part of a format that readers believe: lengths and checksums are right, so that changes are not
//! refused for those.

use std::io::{Cursor, Write};

use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// The bytes themselves.
pub fn plain(bytes: &[u8]) -> Vec<u8> {
    bytes.to_vec()
}

/// A safetensors file with this header and a kilobyte of data.
pub fn header(header: &[u8]) -> Vec<u8> {
    let length = (header.len() as u64).to_le_bytes();
    [&length, header, &[0; 1024]].concat()
}

/// A `.npy` file with this header and sixteen poses at rest, a kilobyte.
pub fn array(header: &[u8]) -> Vec<u8> {
    let pose = (0..16).map(|at| if at % 5 == 0 { 1f32 } else { 0.0 });
    floats(header, pose.cycle().take(256))
}

/// A `.npy` file with this header and these values.
pub fn floats(header: &[u8], values: impl Iterator<Item = f32>) -> Vec<u8> {
    let length = (header.len() as u16).to_le_bytes();
    let mut file = [b"\x93NUMPY\x01\x00", length.as_slice(), header].concat();
    file.extend(values.flat_map(f32::to_le_bytes));
    file
}

/// What torch writes around this pickle: two storages of 64 bytes.
pub fn torch(pickle: &[u8]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let files: [(&str, &[u8]); 4] =
        [("a/data.pkl", pickle), ("a/data/0", &[0; 64]), ("a/data/1", &[1; 64]), ("a/version", b"3\n")];
    for (name, bytes) in files {
        let written = zip.start_file(name, options).map_err(std::io::Error::other);
        written.and_then(|()| zip.write_all(bytes)).expect("memory to write to");
    }
    zip.finish().expect("memory to write to").into_inner()
}

/// A safetensors file with one weight in four bits, and this as bitsandbytes' note about it.
pub fn bitsandbytes(state: &[u8]) -> Vec<u8> {
    let (name, book) = ("w.weight", 16 * 4);
    let parts = [
        (name.to_owned(), "U8", vec![32, 1], 32),
        (format!("{name}.absmax"), "F32", vec![1], 4),
        (format!("{name}.quant_map"), "F32", vec![16], book),
        (format!("{name}.quant_state.bitsandbytes__nf4"), "U8", vec![state.len()], state.len()),
    ];
    let (mut entries, mut at) = (Vec::new(), 0);
    for (name, dtype, shape, bytes) in parts {
        entries.push(format!(
            r#""{name}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{at},{}]}}"#,
            at + bytes
        ));
        at += bytes;
    }
    let text = format!("{{{}}}", entries.join(","));
    let values = wan_kernels::NF4.map(f32::to_le_bytes).concat();
    [&(text.len() as u64).to_le_bytes(), text.as_bytes(), &[0; 36], &values, state].concat()
}

/// A run's state, of which this is the JSON, with the only tensor `latents`.
pub fn state(json: &[u8]) -> Vec<u8> {
    let text = serde_json::Value::from(String::from_utf8_lossy(json));
    let header = format!(
        r#"{{"__metadata__":{{"wan_state":{text}}},"latents":{{"dtype":"F32","shape":[1,1,1,2,2],"data_offsets":[0,16]}}}}"#
    );
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &[0; 16]].concat()
}

/// A PNG of these chunks: after the signature, each is a length of two bytes, a name of four, and contents.
pub fn png(chunks: &[u8]) -> Vec<u8> {
    let (mut file, mut rest) = (b"\x89PNG\r\n\x1a\n".to_vec(), chunks);
    while let [a, b, tail @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*a, *b])).min(tail.len().saturating_sub(4));
        let (chunk, left) = tail.split_at((length + 4).min(tail.len()));
        file.extend((length as u32).to_be_bytes());
        file.extend(chunk);
        file.extend(crc32fast::hash(chunk).to_be_bytes());
        rest = left;
    }
    file
}

/// The other way round.
pub fn chunks(png: &[u8]) -> Vec<u8> {
    let (mut chunks, mut rest) = (Vec::new(), png.get(8..).unwrap_or_default());
    while let [a, b, c, d, tail @ ..] = rest {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        let Some((chunk, left)) = tail.split_at_checked(length + 4) else { break };
        chunks.extend((length as u16).to_be_bytes());
        chunks.extend(chunk);
        rest = left.get(4..).unwrap_or_default();
    }
    chunks
}
