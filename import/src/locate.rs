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
    let names = file_names(folder);
    weights_among(names.iter().map(String::as_str)).map(|name| folder.join(name))
}

/// [`weights`] of a folder with files of these names.
pub(crate) fn weights_among<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    let named = WEIGHTS.iter().find_map(|usual| names.clone().find(|name| name == usual));
    named
        .or_else(|| only_among(names.clone(), "", ".safetensors.index.json"))
        .or_else(|| only_among(names, "", ".safetensors"))
}

/// [`official_dit`] of a folder with files of these names.
pub(crate) fn official_dit_among<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    WEIGHTS[..2].iter().find_map(|usual| names.clone().find(|name| name == usual))
}

/// The weights of the transformer at the root of the authors' folder.
pub(crate) fn official_dit(root: &Path) -> Option<PathBuf> {
    let names = file_names(root);
    official_dit_among(names.iter().map(String::as_str)).map(|name| root.join(name))
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
    let names = file_names(folder);
    only_among(names.iter().map(String::as_str), start, end).map(|name| folder.join(name))
}

/// The one name with this start and end; `None` if there are several.
pub(crate) fn only_among<'a>(
    names: impl Iterator<Item = &'a str>,
    start: &str,
    end: &str,
) -> Option<&'a str> {
    let mut found = names.filter(|name| name.starts_with(start) && name.ends_with(end));
    found.next().filter(|_| found.next().is_none())
}

/// Names of the files directly in a folder; none if it cannot be read.
fn file_names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let files = entries.filter(|entry| entry.path().is_file());
    files.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}
