//! Readers of foreign bytes for libFuzzer. The main workspace runs the same readers in `cli/tests/hostile.rs`, which
//! needs nothing built anew.

pub mod mutate;
pub mod readers;
mod seeds;
pub mod wrap;

use std::{
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    sync::OnceLock,
};

use readers::{Place, READERS, Reader};
use testkit::counting;

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

/// Where the files are that tests are held against.
pub fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/goldens")
}

/// Gives `data` to the reader of this name, in a folder of this process.
///
/// # Panics
/// If the reader does, or holds more than it may.
pub fn run(name: &str, data: &[u8]) {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    static PLACE: OnceLock<(&Reader, Place<'static>)> = OnceLock::new();
    let (reader, place) = PLACE.get_or_init(|| {
        let folder = FOLDER.get_or_init(|| tempfile::tempdir().expect("a folder to write to"));
        let reader = ALL.iter().find(|reader| reader.name == name).expect("a reader of that name");
        (reader, reader.place(&goldens(), folder.path()))
    });
    let file = (reader.wrap)(data);
    place.put(&file);
    // libFuzzer's hook ends the process also where a reader catches the panic of a library.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let result = panic::catch_unwind(AssertUnwindSafe(|| counting::most_held(|| place.read())));
    panic::set_hook(hook);
    // The same again, so that the hook says where.
    let (said, held) = result.unwrap_or_else(|_| (place.read(), 0));
    assert!(held <= reader.most(&file), "{held} bytes held for {} bytes: {said}", file.len());
}

static ALL: [Reader; READERS.len()] = READERS;
