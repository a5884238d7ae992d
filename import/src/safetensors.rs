//! The safetensors format: a JSON header with shapes and offsets, then the bytes.
//!
//! The header is read here and not by the `safetensors` crate, which rejects a whole file for one unknown dtype and
//! keeps the last of two equal keys without a word.

use std::{
    collections::btree_map::{BTreeMap, Entry as Slot},
    fmt,
};

use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, MapAccess, Visitor},
};

use crate::{ImportError, Stored, TensorFile, TensorInfo, map::MappedFile, source::Entry};

/// The limit that the format's own reader sets, in bytes.
const MAX_HEADER: usize = 100_000_000;
const FORMAT: &str = "safetensors";

/// Checks the whole header and maps the file.
pub(crate) fn open(file: MappedFile) -> Result<TensorFile, ImportError> {
    let tensors = parse(file.bytes()).map_err(|detail| ImportError::format(file.path(), FORMAT, detail))?;
    let path = file.path().to_owned();
    Ok(TensorFile::new(&path, vec![file], tensors))
}

fn parse(file: &[u8]) -> Result<BTreeMap<String, Entry>, String> {
    let (header, data_start) = header(file)?;
    let Header(tensors) = serde_json::from_slice(header).map_err(|e| format!("header: {e}"))?;
    check_layout(&tensors, file.len() - data_start)?;
    tensors.into_iter().map(|(name, raw)| entry(name, raw, data_start)).collect()
}

/// The JSON text and the offset of the first tensor byte.
fn header(file: &[u8]) -> Result<(&[u8], usize), String> {
    let (length, rest) = file.split_first_chunk::<8>().ok_or("shorter than its 8-byte header length")?;
    let length = u64::from_le_bytes(*length);
    let length = usize::try_from(length).ok().filter(|&n| n <= MAX_HEADER);
    let length = length.ok_or_else(|| format!("a header of more than {MAX_HEADER} bytes"))?;
    let header = rest.get(..length).ok_or_else(|| format!("the header's {length} bytes go past the end"))?;
    Ok((header, 8 + length))
}

/// Tensors must follow each other without overlap or gap and end with the file.
fn check_layout(tensors: &BTreeMap<String, RawTensor>, data: usize) -> Result<(), String> {
    let mut sorted: Vec<_> = tensors.iter().map(|(name, t)| (t.data_offsets, name)).collect();
    sorted.sort_unstable();
    let mut end = 0;
    for ([from, to], name) in sorted {
        if from > to || to > data {
            return Err(format!("{name}: bytes {from}..{to} go past the {data} bytes of data"));
        }
        if from != end {
            let fault = if from < end { "overlap" } else { "leave a gap after" };
            return Err(format!("{name}: bytes {from}..{to} {fault} the tensor before"));
        }
        end = to;
    }
    if end == data { Ok(()) } else { Err(format!("{} bytes after the last tensor", data - end)) }
}

fn entry(name: String, raw: RawTensor, data_start: usize) -> Result<(String, Entry), String> {
    let [from, to] = raw.data_offsets;
    let dtype = Stored::from_name(&raw.dtype);
    let count = raw.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    if let Some(size) = dtype.size() {
        let expected = count.and_then(|n| n.checked_mul(size));
        if expected != Some(to - from) {
            return Err(format!("{name}: {:?} of {dtype} does not take {} bytes", raw.shape, to - from));
        }
    }
    let info = TensorInfo { shape: raw.shape, dtype, bytes: to - from };
    Ok((name, Entry { info, file: 0, range: data_start + from..data_start + to, strides: None }))
}

#[derive(Deserialize)]
struct RawTensor {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [usize; 2],
}

struct Header(BTreeMap<String, RawTensor>);

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tensors;

        impl<'de> Visitor<'de> for Tensors {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut tensors = BTreeMap::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    match tensors.entry(name) {
                        Slot::Vacant(slot) => slot.insert(map.next_value()?),
                        Slot::Occupied(slot) => {
                            let name = slot.key();
                            return Err(de::Error::custom(format_args!("the key {name} appears twice")));
                        }
                    };
                }
                Ok(Header(tensors))
            }
        }

        deserializer.deserialize_map(Tensors)
    }
}
