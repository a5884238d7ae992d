//! Where the components of a model lie in the folders that people download.

use std::path::{Path, PathBuf};

/// Names of a component folder's weights, the sharded ones first: beside shards, a single file is a leftover.
const WEIGHTS: [&str; 4] = [
    "diffusion_pytorch_model.safetensors.index.json",
    "diffusion_pytorch_model.safetensors",
    "model.safetensors.index.json",
    "model.safetensors",
];

/// The weights of a component folder: under a usual name, else the only index or safetensors file in it.
pub(crate) fn weights(folder: &Path) -> Option<PathBuf> {
    let named = WEIGHTS.iter().map(|name| folder.join(name)).find(|path| path.is_file());
    named.or_else(|| only(folder, "", ".safetensors.index.json")).or_else(|| only(folder, "", ".safetensors"))
}

/// The weights of the transformer at the root of the authors' folder.
pub(crate) fn official_dit(root: &Path) -> Option<PathBuf> {
    WEIGHTS[..2].iter().map(|name| root.join(name)).find(|path| path.is_file())
}

/// The text encoder at the root of the authors' folder, whatever precision its name says.
pub(crate) fn official_text_encoder(root: &Path) -> Option<PathBuf> {
    let usual = Some(root.join(OFFICIAL_TEXT_ENCODER)).filter(|path| path.is_file());
    usual.or_else(|| only(root, "models_t5", ".pth")).or_else(|| only(root, "models_t5", ".safetensors"))
}

/// The autoencoders at the root of the authors' folder: some people keep those of both versions there.
pub(crate) fn official_vaes(root: &Path) -> Vec<PathBuf> {
    let names = [OFFICIAL_VAE, "Wan2.1_VAE.safetensors", "Wan2.2_VAE.pth", "Wan2.2_VAE.safetensors"];
    names.iter().map(|name| root.join(name)).filter(|path| path.is_file()).collect()
}

/// The image encoder at the root of the authors' folder.
pub(crate) fn official_image_encoder(root: &Path) -> Option<PathBuf> {
    let usual = Some(root.join(OFFICIAL_IMAGE_ENCODER)).filter(|path| path.is_file());
    usual.or_else(|| only(root, "models_clip", ".pth")).or_else(|| only(root, "models_clip", ".safetensors"))
}

pub(crate) const OFFICIAL_IMAGE_ENCODER: &str = "models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth";
pub(crate) const OFFICIAL_TEXT_ENCODER: &str = "models_t5_umt5-xxl-enc-bf16.pth";
pub(crate) const OFFICIAL_VAE: &str = "Wan2.1_VAE.pth";

/// The configuration that belongs to a weights file: the `config.json` beside it, if the file's name is one that
/// libraries write together with a configuration.
pub(crate) fn config_beside(weights: &Path) -> Option<PathBuf> {
    let name = weights.file_name()?.to_str()?;
    let paired = name.starts_with("diffusion_pytorch_model") || name.starts_with("model.");
    Some(weights.with_file_name("config.json")).filter(|path| paired && path.is_file())
}

/// The one file of a folder with this start and end of its name; `None` if there are several.
fn only(folder: &Path, start: &str, end: &str) -> Option<PathBuf> {
    let fits = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with(start) && name.ends_with(end)) && path.is_file()
    };
    let mut found = std::fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path())).filter(fits);
    found.next().filter(|_| found.next().is_none())
}
