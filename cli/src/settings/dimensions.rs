//! Sizes as people write them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Width and height in pixels, both positive; written `832x480`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Size {
    pub width: usize,
    pub height: usize,
}

/// About how many pixels a frame has; written `480p`, `720p` or as a [`Size`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Area(String, usize);

impl Area {
    pub fn pixels(&self) -> usize {
        self.1
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once(['x', 'X', '*']);
        let size = parts.and_then(|(w, h)| Some((w.trim().parse().ok()?, h.trim().parse().ok()?)));
        let size = size.filter(|&(width, height)| width > 0 && height > 0);
        let (width, height) = size.ok_or_else(|| "expected WIDTHxHEIGHT, for example 832x480".to_owned())?;
        Ok(Self { width, height })
    }
}

impl FromStr for Area {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let pixels = match text {
            "480p" => 832 * 480,
            "720p" => 1280 * 720,
            _ => {
                let size = Size::from_str(text);
                let Size { width, height } = size.map_err(|_| "expected 480p, 720p or WIDTHxHEIGHT")?;
                width.saturating_mul(height)
            }
        };
        Ok(Self(text.to_owned(), pixels))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl From<Size> for String {
    fn from(size: Size) -> Self {
        size.to_string()
    }
}

impl From<Area> for String {
    fn from(area: Area) -> Self {
        area.0
    }
}

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl TryFrom<String> for Area {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}
