//! The files that a package will have.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crc32fast::Hasher;
use serde_json::{Value, json};

use super::{
    Conversion, Part,
    layout::{self, Shard},
};
use crate::{Checkpoint, Component, ImportError, Layout, Quant, TensorSource};

/// A package that is not written yet. Nothing of the weights is read for it.
#[derive(Debug)]
pub struct Plan {
    pub(super) layout: Layout,
    pub(super) quant: Option<Quant>,
    pub(super) report: bool,
    pub(super) outputs: Vec<Output>,
}

/// A file to be.
#[derive(Debug)]
pub(super) struct Output {
    /// With `/` between names.
    pub path: String,
    pub content: Content,
}

#[derive(Debug)]
pub(super) enum Content {
    Tensors {
        source: Arc<dyn TensorSource>,
        shard: Shard,
    },
    /// Of another file.
    Copy(PathBuf),
    Text(String),
}

/// Bytes of the tensor files that `component` becomes.
///
/// # Errors
/// As [`Plan::new`].
pub fn planned_bytes(component: &Component, conversion: &Conversion) -> Result<u64, ImportError> {
    let shards = layout::shards(component, conversion)?;
    Ok(shards.iter().map(|shard| shard.bytes as u64).sum())
}

impl Plan {
    /// For the model that `checkpoint` is, which lies in the folder `root`.
    ///
    /// # Errors
    /// [`ImportError::Package`] for a model that is quantized already, and whatever the components' configurations find
    /// wrong.
    pub fn new(checkpoint: &Checkpoint, root: &Path, conversion: &Conversion) -> Result<Self, ImportError> {
        let mut outputs = Vec::new();
        for (part, folder, stem, component) in components(checkpoint) {
            if conversion.wants(part) {
                outputs.extend(component_files(folder, stem, component, conversion)?);
            }
        }
        let mut copy = |path: &str, from: PathBuf| {
            if from.is_file() {
                outputs.push(Output { path: path.to_owned(), content: Content::Copy(from) });
            }
        };
        if conversion.wants(Part::Tokenizer) {
            copy("tokenizer/tokenizer.json", checkpoint.tokenizer.clone());
        }
        for name in ["scheduler/scheduler_config.json", "model_index.json", "generation_config.json"] {
            copy(name, root.join(name));
        }
        let (layout, quant, report) = (checkpoint.layout, conversion.quant, conversion.report);
        Ok(Self { layout, quant, report, outputs })
    }

    /// Bytes of the tensors that are read.
    pub fn source_bytes(&self) -> u64 {
        let bytes = |(source, shard): (&dyn TensorSource, &Shard)| {
            let infos = shard.items.iter().filter_map(|item| source.info(&item.key));
            infos.map(|info| info.bytes as u64).sum::<u64>()
        };
        self.tensors().map(bytes).sum()
    }

    /// Bytes of the tensor files.
    pub fn bytes(&self) -> u64 {
        self.tensors().map(|(_, shard)| shard.bytes as u64).sum()
    }

    fn tensors(&self) -> impl Iterator<Item = (&dyn TensorSource, &Shard)> {
        self.outputs.iter().filter_map(|output| match &output.content {
            Content::Tensors { source, shard } => Some((&**source, shard)),
            _ => None,
        })
    }

    /// Differs where another run with other files, settings or sources would write other bytes.
    pub(super) fn identity(&self) -> u32 {
        let mut sum = Hasher::new();
        sum.update(format!("{:?} {:?}", self.layout, self.quant).as_bytes());
        for output in &self.outputs {
            sum.update(output.path.as_bytes());
            match &output.content {
                Content::Tensors { source, shard } => {
                    sum.update(&shard.header);
                    sum.update(&state(source.path()));
                }
                Content::Copy(from) => sum.update(&state(from)),
                Content::Text(text) => sum.update(text.as_bytes()),
            }
        }
        sum.finalize()
    }
}

/// What changes with a file.
fn state(path: &Path) -> Vec<u8> {
    let found = std::fs::metadata(path).ok();
    let changed = found.as_ref().and_then(|found| found.modified().ok());
    format!("{:?} {changed:?}", found.map(|found| found.len())).into_bytes()
}

type Place<'a> = (Part, &'static str, &'static str, &'a Component);

/// The components with their folders and the stems of their files. The first of two transformers is that for high
/// noise, as in diffusers folders.
fn components(checkpoint: &Checkpoint) -> Vec<Place<'_>> {
    let model = "diffusion_pytorch_model";
    let mut places = Vec::new();
    match &checkpoint.dit_high {
        Some(high) => {
            places.push((Part::Transformer, "transformer", model, high));
            places.push((Part::Transformer, "transformer_2", model, &checkpoint.dit));
        }
        None => places.push((Part::Transformer, "transformer", model, &checkpoint.dit)),
    }
    places.push((Part::TextEncoder, "text_encoder", "model", &checkpoint.text_encoder));
    places.push((Part::Vae, "vae", model, &checkpoint.vae));
    places.extend(
        checkpoint
            .image_encoder
            .as_ref()
            .map(|encoder| (Part::ImageEncoder, "image_encoder", "model", encoder)),
    );
    places
}

fn component_files(
    folder: &str,
    stem: &str,
    component: &Component,
    conversion: &Conversion,
) -> Result<Vec<Output>, ImportError> {
    let shards = layout::shards(component, conversion)?;
    let count = shards.len();
    let name = |index: usize| match count {
        1 => format!("{stem}.safetensors"),
        _ => format!("{stem}-{:05}-of-{count:05}.safetensors", index + 1),
    };
    let index = (count > 1).then(|| index(&shards, &name));
    let tensors = shards.into_iter().enumerate().map(|(at, shard)| Output {
        path: format!("{folder}/{}", name(at)),
        content: Content::Tensors { source: component.source.clone(), shard },
    });
    let mut outputs: Vec<_> = tensors.collect();
    outputs.extend(index.map(|text| Output {
        path: format!("{folder}/{stem}.safetensors.index.json"),
        content: Content::Text(text),
    }));
    outputs.extend(component.config.as_ref().map(|(path, _)| Output {
        path: format!("{folder}/config.json"),
        content: Content::Copy(path.clone()),
    }));
    Ok(outputs)
}

/// Which file has which tensor.
fn index(shards: &[Shard], name: &dyn Fn(usize) -> String) -> String {
    let places = shards.iter().enumerate().flat_map(|(at, shard)| {
        let pieces = shard.items.iter().flat_map(|item| &item.pieces);
        pieces.map(move |piece| (piece.name.clone(), Value::from(name(at))))
    });
    let map: serde_json::Map<_, _> = places.collect();
    let total: usize = shards.iter().map(|shard| shard.bytes - shard.header.len()).sum();
    format!("{:#}\n", json!({ "metadata": { "total_size": total }, "weight_map": map }))
}
