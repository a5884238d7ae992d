//! The built-in demo model: a tiny Wan 2.1 that draws one coloured shape in motion, as a diffusers folder.
//!
//! `tools/demo` trains and exports it. It holds nothing a downloaded model would not: the same files, opened by the
//! same [`Checkpoint::open`](wan_import::Checkpoint::open).

use std::{fs, io, path::Path};

use flate2::read::GzDecoder;

/// A file of the folder by its path, its bytes as they are or, where the path ends in `.gz`, compressed.
macro_rules! files {
    ($($path:literal),* $(,)?) => {
        [$(($path, include_bytes!(concat!("../assets/demo/", $path)) as &[u8])),*]
    };
}

const FILES: [(&str, &[u8]); 10] = files![
    "model_index.json",
    "generation_config.json",
    "scheduler/scheduler_config.json",
    "tokenizer/tokenizer.json",
    "text_encoder/config.json",
    "text_encoder/model.safetensors.gz",
    "transformer/config.json",
    "transformer/diffusion_pytorch_model.safetensors.gz",
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors.gz",
];

/// Writes the model's files into `folder`, which must exist.
pub fn unpack(folder: &Path) -> io::Result<()> {
    FILES.iter().try_for_each(|(name, bytes)| unpack_file(folder, name, bytes))
}

fn unpack_file(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let path = folder.join(name.strip_suffix(".gz").unwrap_or(name));
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    if !name.ends_with(".gz") {
        return fs::write(path, bytes);
    }
    io::copy(&mut GzDecoder::new(bytes), &mut fs::File::create(path)?).map(|_| ())
}
