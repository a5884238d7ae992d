//! Readers of foreign files that no other crate has, for fuzzers: what each says about a file.

use std::path::Path;

use crate::{
    config,
    engine::{dump, picture},
    metadata::Metadata,
};

/// Of a picture.
pub fn picture(path: &Path) -> String {
    picture::read(path).map_or_else(|error| error.message, |_| "good".to_owned())
}

/// Of a file of noise.
pub fn noise(path: &Path) -> String {
    dump::read_noise(path).map_or_else(|error| error.to_string(), |_| "good".to_owned())
}

/// Of a clip that may carry settings.
pub fn clip(path: &Path) -> String {
    Metadata::of(path).map_or_else(|error| error.to_string(), |_| "good".to_owned())
}

/// Of a `wan.toml`.
pub fn defaults(path: &Path) -> String {
    config::file(path).map_or_else(|failure| failure.message, |_| "good".to_owned())
}
