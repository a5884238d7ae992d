//! NumPy's `.npy` arrays of plain numbers: version 1 to 3, little-endian, C order.
//!
//! Read by hand and strictly: the header is a Python literal, of which exactly the form that NumPy writes is taken,
//! so that a hostile one costs nothing.

use std::path::Path;

use crate::{ImportError, bounded};

/// Largest file that is read, in bytes.
const MAX_BYTES: u64 = 64 << 20;

const MAGIC: &[u8] = b"\x93NUMPY";
const FORMAT: &str = "NPY";

/// The data starts at a multiple of this.
const ALIGNMENT: usize = 64;

/// An array as stored.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Array {
    pub shape: Vec<usize>,
    pub values: Vec<f64>,
}

/// Number formats by their names in a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    F4,
    F8,
    I4,
    I8,
}

impl Number {
    pub(crate) const FLOATS: [Self; 2] = [Self::F4, Self::F8];
    pub(crate) const ALL: [Self; 4] = [Self::F4, Self::F8, Self::I4, Self::I8];

    fn descr(self) -> &'static str {
        match self {
            Self::F4 => "<f4",
            Self::F8 => "<f8",
            Self::I4 => "<i4",
            Self::I8 => "<i8",
        }
    }

    fn bytes(self) -> usize {
        match self {
            Self::F4 | Self::I4 => 4,
            Self::F8 | Self::I8 => 8,
        }
    }

    /// Values of little-endian bytes; `i64` are rounded to 53 bits.
    fn decode(self, bytes: &[u8]) -> Vec<f64> {
        let four = bytes.as_chunks::<4>().0.iter();
        let eight = bytes.as_chunks::<8>().0.iter();
        match self {
            Self::F4 => four.map(|&b| f32::from_le_bytes(b).into()).collect(),
            Self::I4 => four.map(|&b| i32::from_le_bytes(b).into()).collect(),
            Self::F8 => eight.map(|&b| f64::from_le_bytes(b)).collect(),
            Self::I8 => eight.map(|&b| i64::from_le_bytes(b) as f64).collect(),
        }
    }
}

/// Reads an array of one of the `accepted` formats.
///
/// # Errors
/// [`ImportError::Io`]; [`ImportError::Format`] if the file is larger than 64 MiB, or is not what its header says;
/// [`ImportError::Array`] for other formats and for Fortran order.
pub(crate) fn read(path: &Path, accepted: &[Number]) -> Result<Array, ImportError> {
    let too_large = || ImportError::format(path, FORMAT, format!("larger than {MAX_BYTES} bytes"));
    let bytes = bounded::read(path, MAX_BYTES)?.ok_or_else(too_large)?;
    let bad = |detail: &str| ImportError::format(path, FORMAT, detail);
    let (header, data) = split(&bytes).ok_or_else(|| bad("it has no complete header"))?;
    let header = parse(header).ok_or_else(|| bad("the header is not one that NumPy writes"))?;
    let refuse = |detail: String| ImportError::Array { path: path.to_owned(), detail };
    let number = accepted.iter().find(|number| number.descr() == header.descr);
    let number = number.ok_or_else(|| {
        let names: Vec<_> = accepted.iter().map(|number| number.descr()).collect();
        refuse(format!("the dtype is {}, and one of {} is needed", header.descr, names.join(", ")))
    })?;
    if header.fortran_order {
        return Err(refuse("the array is in Fortran order".to_owned()));
    }
    let promised = header.shape.iter().try_fold(number.bytes(), |product, &n| product.checked_mul(n));
    if promised != Some(data.len()) {
        let detail = format!("{:?} values are promised, and {} bytes follow", header.shape, data.len());
        return Err(bad(&detail));
    }
    Ok(Array { shape: header.shape, values: number.decode(data) })
}

/// The header's text and what follows it.
fn split(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (length, rest) = match rest {
        [1, _, a, b, rest @ ..] => (u32::from(u16::from_le_bytes([*a, *b])), rest),
        [2 | 3, _, a, b, c, d, rest @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]), rest),
        _ => return None,
    };
    let (text, data) = rest.split_at_checked(length as usize)?;
    Some((std::str::from_utf8(text).ok()?, data))
}

#[derive(Debug, PartialEq)]
struct Header<'a> {
    descr: &'a str,
    fortran_order: bool,
    shape: Vec<usize>,
}

/// `{'descr': '<f4', 'fortran_order': False, 'shape': (5, 4, 4), }`, keys in any order.
fn parse(text: &str) -> Option<Header<'_>> {
    let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
    let (mut descr, mut fortran_order, mut shape) = (None, None, None);
    while !rest.is_empty() {
        let (key, after) = quoted(rest)?;
        let value = after.trim_start().strip_prefix(':')?.trim_start();
        let after = match key {
            "descr" => keep(&mut descr, quoted(value)?)?,
            "fortran_order" => keep(&mut fortran_order, boolean(value)?)?,
            "shape" => keep(&mut shape, tuple(value)?)?,
            _ => return None,
        };
        let after = after.trim_start();
        rest = if after.is_empty() { after } else { after.strip_prefix(',')?.trim_start() };
    }
    Some(Header { descr: descr?, fortran_order: fortran_order?, shape: shape? })
}

/// Fills an empty place and hands on the text behind the value.
fn keep<'a, T>(place: &mut Option<T>, (value, rest): (T, &'a str)) -> Option<&'a str> {
    place.replace(value).is_none().then_some(rest)
}

fn quoted(text: &str) -> Option<(&str, &str)> {
    let mark = text.chars().next().filter(|mark| matches!(mark, '\'' | '"'))?;
    text[1..].split_once(mark)
}

fn boolean(text: &str) -> Option<(bool, &str)> {
    let value = |name, value| text.strip_prefix(name).map(|rest| (value, rest));
    value("True", true).or_else(|| value("False", false))
}

fn tuple(text: &str) -> Option<(Vec<usize>, &str)> {
    let (inside, rest) = text.strip_prefix('(')?.split_once(')')?;
    let inside = inside.trim();
    let inside = inside.strip_suffix(',').unwrap_or(inside);
    if inside.is_empty() {
        return Some((Vec::new(), rest));
    }
    let lengths: Option<Vec<_>> = inside.split(',').map(|length| length.trim().parse().ok()).collect();
    Some((lengths?, rest))
}

/// The bytes of a version 1 file of f32.
pub(crate) fn encode(shape: &[usize], values: impl Iterator<Item = f64>) -> Vec<u8> {
    encode_as("<f4", shape, values.flat_map(|value| (value as f32).to_le_bytes()))
}

/// The bytes of a version 1 file of i32.
pub(crate) fn encode_integers(shape: &[usize], values: impl Iterator<Item = i32>) -> Vec<u8> {
    encode_as("<i4", shape, values.flat_map(i32::to_le_bytes))
}

fn encode_as(descr: &str, shape: &[usize], data: impl Iterator<Item = u8>) -> Vec<u8> {
    // Of two lengths or more: a tuple of one would need a comma behind it.
    let shape = shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
    let before = MAGIC.len() + 4;
    let padded = (before + header.len() + 1).next_multiple_of(ALIGNMENT) - before;
    header.extend(std::iter::repeat_n(' ', padded - header.len() - 1));
    header.push('\n');
    // At most a few dozen characters: a shape has three lengths.
    let length = (header.len() as u16).to_le_bytes();
    let mut bytes = [MAGIC, &[1, 0], &length, header.as_bytes()].concat();
    bytes.extend(data);
    bytes
}
