//! Which files of a repository a run needs: of the layouts that are read, each component in one format.

use std::collections::BTreeSet;

use super::HubError;
use crate::{Part, locate};

/// Beside the components: small, and read if there.
const SETTINGS: [&str; 4] =
    ["model_index.json", "generation_config.json", "scheduler/scheduler_config.json", "config.json"];
const PACKAGE: &str = "wan_package.json";
const INDEX: &str = ".safetensors.index.json";
const WHOLE: &str = ".safetensors";

/// The needed ones of all `paths` of `id`; of all components if `only` is empty.
pub(super) fn needed(id: &str, paths: &[&str], only: &[Part]) -> Result<BTreeSet<String>, HubError> {
    let tree = Tree(paths);
    if tree.has(PACKAGE) {
        return if only.is_empty() {
            Ok(tree.package())
        } else {
            Err(HubError::Package { id: id.to_owned() })
        };
    }
    let all = [Part::Transformer, Part::TextEncoder, Part::Vae, Part::Tokenizer, Part::ImageEncoder];
    let wanted = all.into_iter().filter(|part| only.is_empty() || only.contains(part));
    let diffusers = tree.has("model_index.json") || tree.names("transformer").next().is_some();
    let mut found: BTreeSet<String> =
        SETTINGS.into_iter().filter(|path| tree.has(path)).map(str::to_owned).collect();
    for part in wanted {
        let files = if diffusers { tree.diffusers(part) } else { tree.official(part) };
        // Most models have no image encoder, and none needs its absence told before it is opened.
        if files.is_empty() && (part != Part::ImageEncoder || !only.is_empty()) {
            return Err(HubError::NoFiles { id: id.to_owned(), what: name(part).to_owned() });
        }
        found.extend(files);
    }
    Ok(found)
}

fn name(part: Part) -> &'static str {
    match part {
        Part::Transformer => "diffusion transformer",
        Part::TextEncoder => "text encoder",
        Part::Vae => "VAE",
        Part::ImageEncoder => "image encoder",
        Part::Tokenizer => "tokenizer.json",
    }
}

/// All paths of a repository.
#[derive(Clone, Copy)]
struct Tree<'a>(&'a [&'a str]);

impl<'a> Tree<'a> {
    fn has(self, path: &str) -> bool {
        self.0.contains(&path)
    }

    /// Names of the files directly in a folder; `""` is the repository's own.
    fn names(self, folder: &'a str) -> impl Iterator<Item = &'a str> + Clone {
        self.0.iter().filter_map(move |path| {
            let name = if folder.is_empty() { path } else { path.strip_prefix(folder)?.strip_prefix('/')? };
            (!name.contains('/')).then_some(name)
        })
    }

    fn package(self) -> BTreeSet<String> {
        let read = |path: &&&str| path.ends_with(".json") || path.ends_with(WHOLE);
        self.0.iter().filter(read).map(|&path| path.to_owned()).collect()
    }

    fn diffusers(self, part: Part) -> Vec<String> {
        match part {
            Part::Transformer => {
                let mut files = self.component("transformer");
                files.extend(self.component("transformer_2"));
                files
            }
            Part::TextEncoder => self.component("text_encoder"),
            Part::Vae => self.component("vae"),
            Part::ImageEncoder => self.component("image_encoder"),
            Part::Tokenizer => self.existing("tokenizer/tokenizer.json"),
        }
    }

    fn official(self, part: Part) -> Vec<String> {
        match part {
            Part::Transformer => {
                let mut files = self.component("high_noise_model");
                files.extend(self.component("low_noise_model"));
                let at_root = || locate::official_dit_among(self.names(""));
                match at_root().filter(|_| files.is_empty()) {
                    Some(weights) => self.with_shards("", weights),
                    None => files,
                }
            }
            Part::TextEncoder => self.preferred("models_t5").into_iter().collect(),
            Part::Vae => {
                ["Wan2.1_VAE", "Wan2.2_VAE"].into_iter().filter_map(|vae| self.preferred(vae)).collect()
            }
            Part::ImageEncoder => self.preferred("models_clip").into_iter().collect(),
            Part::Tokenizer => self.existing("google/umt5-xxl/tokenizer.json"),
        }
    }

    fn existing(self, path: &str) -> Vec<String> {
        self.0.iter().filter(|&&other| other == path).map(|&path| path.to_owned()).collect()
    }

    /// Configuration and weights of a component's folder; none without weights.
    fn component(self, folder: &'a str) -> Vec<String> {
        let Some(weights) = locate::weights_among(self.names(folder)) else { return Vec::new() };
        let mut files = self.with_shards(folder, weights);
        files.extend(self.existing(&format!("{folder}/config.json")));
        files
    }

    /// Weights, and if that is an index, the files that are named for it.
    fn with_shards(self, folder: &'a str, weights: &str) -> Vec<String> {
        let path = |name: &str| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        let Some(stem) = weights.strip_suffix(INDEX) else { return vec![path(weights)] };
        let shards = |exact: bool| {
            let fits = move |name: &&str| name.ends_with(WHOLE) && (!exact || is_shard(name, stem));
            self.names(folder).filter(fits).map(path)
        };
        let mut files: Vec<String> = shards(true).collect();
        if files.is_empty() {
            files = shards(false).collect();
        }
        files.push(path(weights));
        files
    }

    /// At the root the file that starts so, as safetensors rather than as a pickle.
    fn preferred(self, start: &str) -> Option<String> {
        let found = locate::only_among(self.names(""), start, WHOLE);
        found.or_else(|| locate::only_among(self.names(""), start, ".pth")).map(str::to_owned)
    }
}

/// `STEM-00001-of-00007.safetensors`.
fn is_shard(name: &str, stem: &str) -> bool {
    let numbers = name.strip_prefix(stem).and_then(|name| name.strip_prefix('-')?.strip_suffix(WHOLE));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    numbers.and_then(|text| text.split_once("-of-")).is_some_and(|(n, of)| digits(n) && digits(of))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const DIFFUSERS: [&str; 22] = [
        ".gitattributes",
        "README.md",
        "model_index.json",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "text_encoder/model-00001-of-00002.safetensors",
        "text_encoder/model-00002-of-00002.safetensors",
        "text_encoder/model.fp16-00001-of-00001.safetensors",
        "text_encoder/model.safetensors.index.json",
        "tokenizer/special_tokens_map.json",
        "tokenizer/spiece.model",
        "tokenizer/tokenizer.json",
        "transformer/config.json",
        "transformer/diffusion_pytorch_model-00001-of-00001.safetensors",
        "transformer/diffusion_pytorch_model.bin",
        "transformer/diffusion_pytorch_model.fp16.safetensors",
        "transformer/diffusion_pytorch_model.safetensors.index.json",
        "transformer/model.onnx",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
        "vae/diffusion_pytorch_model.fp16.safetensors",
        "examples/fox.mp4",
    ];
    const OFFICIAL: [&str; 13] = [
        "LICENSE.txt",
        "Wan2.1_VAE.pth",
        "Wan2.1_VAE.safetensors",
        "configuration.json",
        "google/umt5-xxl/spiece.model",
        "google/umt5-xxl/tokenizer.json",
        "high_noise_model/config.json",
        "high_noise_model/diffusion_pytorch_model-00001-of-00001.safetensors",
        "high_noise_model/diffusion_pytorch_model.safetensors.index.json",
        "low_noise_model/diffusion_pytorch_model.safetensors",
        "models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth",
        "models_t5_umt5-xxl-enc-bf16.pth",
        "assets/logo.png",
    ];

    fn of(paths: &[&str], only: &[Part]) -> Vec<String> {
        needed("a/b", paths, only).unwrap().into_iter().collect()
    }

    #[test]
    fn a_diffusers_folder_without_second_formats_and_pictures() {
        let expected = [3, 4, 5, 6, 7, 9, 12, 13, 14, 17, 19, 20].map(|line: usize| DIFFUSERS[line - 1]);
        let mut expected: Vec<_> = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(of(&DIFFUSERS, &[]), expected);
        let vae = ["model_index.json", "scheduler/scheduler_config.json", "vae/config.json", DIFFUSERS[19]];
        assert_eq!(of(&DIFFUSERS, &[Part::Vae]), vae);
        assert!(needed("a/b", &DIFFUSERS, &[Part::ImageEncoder]).is_err());
    }

    #[test]
    fn the_authors_folder_with_safetensors_before_pickles() {
        let expected = [3, 6, 7, 8, 9, 10, 11, 12].map(|line: usize| OFFICIAL[line - 1]);
        assert_eq!(of(&OFFICIAL, &[]), expected);
    }

    #[test]
    fn a_missing_component_is_named_and_a_package_is_taken_whole() {
        let error =
            needed("a/b", &OFFICIAL[1..], &[]).and_then(|_| needed("a/b", &OFFICIAL[..11], &[])).unwrap_err();
        assert!(error.to_string().contains("text encoder"), "{error}");
        let package = ["wan_package.json", "transformer/x.safetensors", "README.md"];
        assert_eq!(of(&package, &[]), ["transformer/x.safetensors", "wan_package.json"]);
        assert!(needed("a/b", &package, &[Part::Vae]).is_err());
    }
}
