//! Readers of foreign files that no other crate has, for fuzzers: what each says about a file.

use std::path::Path;

use crate::{
    config,
    engine::{
        dump, picture,
        runs::{self, Decoded},
    },
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

/// Of what a run goes on from.
pub fn state(path: &Path) -> String {
    runs::read(path).map_or_else(|error| error.to_string(), |_| "good".to_owned())
}

/// Of the frames that a run has decoded, of twelve bytes each, and of what its decoder remembers.
pub fn decoded(path: &Path) -> String {
    let Some(decoded) = Decoded::open(path.parent().unwrap_or(path)) else { return "none".to_owned() };
    let frames = decoded.each(12, &mut |_| Ok(()));
    let start = decoded.start().map(|mut start| (start.load)("conv.0").is_some());
    match (frames, start) {
        (Ok(()), Ok(true)) => "good".to_owned(),
        (frames, start) => format!("{:?} {:?}", frames.err(), start.err()),
    }
}
