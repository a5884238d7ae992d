//! Readers of foreign bytes for `cargo fuzz`. The main workspace runs the same readers in `cli/tests/hostile.rs`,
//! which needs no other compiler.

pub mod mutate;
pub mod readers;
mod seeds;
pub mod wrap;

use std::{path::Path, sync::OnceLock};

use readers::{Place, READERS};

/// Gives `data` to the reader of this name, in a folder of this process.
pub fn run(name: &str, data: &[u8]) {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    static PLACE: OnceLock<(usize, Place<'static>)> = OnceLock::new();
    let (index, place) = PLACE.get_or_init(|| {
        let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/goldens");
        let folder = FOLDER.get_or_init(|| tempfile::tempdir().expect("a folder to write to"));
        let index = READERS.iter().position(|reader| reader.name == name).expect("a reader of that name");
        (index, ALL[index].place(&goldens, folder.path()))
    });
    place.put(&(ALL[*index].wrap)(data));
    std::hint::black_box(place.read());
}

static ALL: [readers::Reader; READERS.len()] = READERS;
