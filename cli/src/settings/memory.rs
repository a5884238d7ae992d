//! Memory as people write it: how much, and in which tiles.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A bound of memory; written `8GB`, `512MiB` or `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum MemoryLimit {
    /// Nothing is refused.
    None,
    Bytes(u64),
}

/// In which tiles the VAE works; written `auto`, `off` or as `ROWSxCOLUMNS`, the numbers of tiles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum VaeTiling {
    #[default]
    Auto,
    Off,
    Tiles([usize; 2]),
}

/// Bytes of the units in which memory is counted; of two that a text ends in the longer comes first.
const UNITS: [(&str, u64); 11] = [
    ("KIB", 1 << 10),
    ("MIB", 1 << 20),
    ("GIB", 1 << 30),
    ("TIB", 1 << 40),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("B", 1),
];

impl FromStr for MemoryLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let upper = text.trim().to_ascii_uppercase();
        if upper == "NONE" {
            return Ok(Self::None);
        }
        let parts = UNITS.iter().find_map(|&(unit, bytes)| Some((upper.strip_suffix(unit)?, bytes)));
        let number = parts.and_then(|(number, unit)| Some((number.trim().parse::<f64>().ok()?, unit)));
        let bytes = number.map(|(number, unit)| number * unit as f64);
        let bytes = bytes.filter(|bytes| bytes.is_finite() && *bytes >= 1.0);
        bytes
            .map(|bytes| Self::Bytes(bytes as u64))
            .ok_or_else(|| "expected 8GB, 512MB and the like, or none".to_owned())
    }
}

impl FromStr for VaeTiling {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once(['x', 'X']);
        let tiles = parts.and_then(|(rows, columns)| Some([rows.parse().ok()?, columns.parse().ok()?]));
        match (text, tiles) {
            ("auto", _) => Ok(Self::Auto),
            ("off", _) => Ok(Self::Off),
            (_, Some(tiles)) if tiles.iter().all(|&count| count > 0) => Ok(Self::Tiles(tiles)),
            _ => Err("expected auto, off or ROWSxCOLUMNS, for example 2x2".to_owned()),
        }
    }
}

impl From<MemoryLimit> for String {
    fn from(limit: MemoryLimit) -> Self {
        match limit {
            MemoryLimit::None => "none".to_owned(),
            MemoryLimit::Bytes(bytes) => format!("{bytes}B"),
        }
    }
}

impl From<VaeTiling> for String {
    fn from(tiling: VaeTiling) -> Self {
        match tiling {
            VaeTiling::Auto => "auto".to_owned(),
            VaeTiling::Off => "off".to_owned(),
            VaeTiling::Tiles([rows, columns]) => format!("{rows}x{columns}"),
        }
    }
}

impl TryFrom<String> for MemoryLimit {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl TryFrom<String> for VaeTiling {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_either_kind_of_unit() {
        let bytes = |text: &str| text.parse::<MemoryLimit>();
        assert_eq!(bytes("8GB"), Ok(MemoryLimit::Bytes(8_000_000_000)));
        assert_eq!(bytes("1.5 GiB"), Ok(MemoryLimit::Bytes(3 << 29)));
        assert_eq!(bytes("512m"), Ok(MemoryLimit::Bytes(512_000_000)));
        assert_eq!(bytes("none"), Ok(MemoryLimit::None));
        for text in ["", "8", "GB", "-1GB", "0B", "1e400GB", "nanGB"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn tiles_are_counted() {
        assert_eq!("2x3".parse(), Ok(VaeTiling::Tiles([2, 3])));
        assert_eq!("off".parse(), Ok(VaeTiling::Off));
        assert!("0x3".parse::<VaeTiling>().is_err() && "2".parse::<VaeTiling>().is_err());
    }

    #[test]
    fn what_is_written_is_read_again() {
        for text in ["none", "512B"] {
            assert_eq!(String::from(text.parse::<MemoryLimit>().expect("a limit")), text);
        }
        for text in ["auto", "off", "2x3"] {
            assert_eq!(String::from(text.parse::<VaeTiling>().expect("a tiling")), text);
        }
    }
}
