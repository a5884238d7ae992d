//! Writes what each reader begins with to a folder: `NAME/0`, `NAME/1` and so on, and its words as `NAME.dict`.

use std::{fs, io, path::Path};

// What is instrumented calls it.
use libfuzzer_sys as _;
use wan_fuzz::{goldens, readers::READERS};

fn main() -> io::Result<()> {
    let folder = std::env::args_os().nth(1).ok_or_else(|| io::Error::other("usage: seeds FOLDER"))?;
    for reader in &READERS {
        let place = Path::new(&folder).join(reader.name);
        fs::create_dir_all(&place)?;
        for (index, seed) in (reader.seeds)(&goldens()).iter().enumerate() {
            fs::write(place.join(index.to_string()), seed)?;
        }
        let quoted = |word: &&str| word.bytes().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
        let words: Vec<_> = reader.words.iter().map(|word| format!("\"{}\"\n", quoted(word))).collect();
        fs::write(place.with_extension("dict"), words.concat())?;
    }
    Ok(())
}
