//! The same weights in every layout that people have on disk give the same bits.
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use burn::prelude::*;
use safetensors::{SafeTensors, tensor::TensorView};
use serde_json::json;
use support::{Film, open, request, run, tiny};
use testkit::Golden;
use wan_import::{Checkpoint, Layout, Source};
use wan_pipeline::{GenerateRequest, Schedule};

/// What the diffusers folder gives, for comparison.
struct Reference {
    request: GenerateRequest,
    film: Film,
}

impl Reference {
    fn new() -> Self {
        let request = request(&Golden::load("pipeline"));
        let request = GenerateRequest { schedule: Schedule::Diffusers, shift: Some(5.0), ..request };
        let film = run(&open(&tiny("diffusers")), &request, &Device::flex()).expect("a good run");
        assert_eq!(film.steps.len(), 6);
        Self { request, film }
    }

    fn assert_same(&self, source: &Source) {
        let checkpoint = Checkpoint::open(source).expect("a good checkpoint");
        let film = run(&checkpoint, &self.request, &Device::flex()).expect("a good run");
        assert!(film.steps == self.film.steps, "{source:?}: latents differ");
        assert!(film.frames == self.film.frames, "{source:?}: frames differ");
    }
}

/// Single files beside the transformer: the authors' `.pth`.
fn files(dit: PathBuf) -> Source {
    let official = tiny("official");
    Source {
        dit: Some(dit),
        vae: Some(official.join("Wan2.1_VAE.pth")),
        text_encoder: Some(official.join("models_t5_umt5-xxl-enc-bf16.pth")),
        tokenizer: Some(official.join("google/umt5-xxl")),
        ..Source::default()
    }
}

/// The bytes of every safetensors file of a folder.
fn contents(folder: &Path) -> Vec<Vec<u8>> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let weights = paths.filter(|path| path.extension().is_some_and(|end| end == "safetensors"));
    weights.map(|path| fs::read(path).unwrap()).collect()
}

fn views(files: &[Vec<u8>]) -> BTreeMap<String, TensorView<'_>> {
    files.iter().flat_map(|bytes| SafeTensors::deserialize(bytes).unwrap().tensors()).collect()
}

fn write(path: &Path, tensors: &[(String, TensorView<'_>)]) {
    fs::write(path, safetensors::serialize(tensors.iter().cloned(), None).unwrap()).unwrap();
}

#[test]
fn official_folder_and_its_files() {
    let reference = Reference::new();
    let official = tiny("official");
    reference.assert_same(&files(official.join("diffusion_pytorch_model.safetensors.index.json")));
    let vae = tiny("diffusers").join("vae/diffusion_pytorch_model.safetensors");
    let mixed = Source { model: Some(official.clone()), vae: Some(vae), ..Source::default() };
    reference.assert_same(&mixed);
    reference.assert_same(&Source { model: Some(official), ..Source::default() });
}

#[test]
fn one_safetensors_file_with_and_without_a_prefix() {
    let reference = Reference::new();
    let folder = tempfile::tempdir().unwrap();
    fs::copy(tiny("official/config.json"), folder.path().join("config.json")).unwrap();
    let shards = contents(&tiny("official"));
    for prefix in ["model.diffusion_model.", "diffusion_model.", ""] {
        let tensors: Vec<_> =
            views(&shards).into_iter().map(|(key, view)| (format!("{prefix}{key}"), view)).collect();
        let path = folder.path().join("wan_t2v_tiny.safetensors");
        write(&path, &tensors);
        let source = files(path);
        let checkpoint = Checkpoint::open(&source).expect("a good checkpoint");
        assert_eq!((checkpoint.layout, checkpoint.dit.fingerprint.prefix.as_str()), (Layout::Files, prefix));
        reference.assert_same(&source);
    }
}

#[test]
fn every_component_as_pth() {
    Reference::new().assert_same(&files(tiny("pth/wan_t2v.pth")));
}

#[test]
fn a_diffusers_folder_in_shards() {
    let reference = Reference::new();
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    copy(&tiny("diffusers"), root);
    let transformer = root.join("transformer");
    let whole = contents(&transformer);
    fs::remove_file(transformer.join("diffusion_pytorch_model.safetensors")).unwrap();
    let tensors: Vec<_> = views(&whole).into_iter().collect();
    let mut map = BTreeMap::new();
    for (n, part) in tensors.chunks(tensors.len().div_ceil(3)).enumerate() {
        let file = format!("diffusion_pytorch_model-{:05}-of-00003.safetensors", n + 1);
        write(&transformer.join(&file), part);
        map.extend(part.iter().map(|(key, _)| (key, file.clone())));
    }
    let index = json!({"metadata": {}, "weight_map": map}).to_string();
    fs::write(transformer.join("diffusion_pytorch_model.safetensors.index.json"), index).unwrap();
    reference.assert_same(&Source { model: Some(root.to_owned()), ..Source::default() });
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}
