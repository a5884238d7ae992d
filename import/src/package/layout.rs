//! Which tensors of a component become what, and where they lie in its files.

use std::{cmp::Reverse, collections::BTreeMap};

use burn::{prelude::*, tensor::FloatDType};
use serde_json::{Value, json};
use wan_model::{LargeLinears, WanTransformer, text::Umt5Block};

use super::{Conversion, quantize};
use crate::{Component, ImportError, KeyTable, Kind, Quant, Stored, TensorInfo};

/// From so many elements on, a tensor that is not quantized keeps its dtype.
const LARGE: usize = 1 << 20;
/// Linear layers outside of the blocks that a run passes once. Where they are large, packages have them in eight bits
/// whatever the blocks have, and they are floats once loaded. What every step passes stays high.
const EMBEDDINGS: [&str; 7] = [
    "text_embedding.linear1",
    "text_embedding.linear2",
    "image_embedding.linear1",
    "image_embedding.linear2",
    "camera.control",
    "camera.linear1",
    "camera.linear2",
];
/// Where the first tensor starts is a multiple of this, and so is where each does whose length allows it.
const ALIGNMENT: usize = 64;
/// A file is closed before it would be longer than this, in bytes, unless one tensor is.
const SHARD: usize = 4_000_000_000;

/// What becomes of a tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Form {
    /// Its bytes, whatever they are.
    Same,
    Float(FloatDType),
    Quantized(Quant),
}

/// A tensor of a package's file.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub name: String,
    /// As the format names it.
    pub dtype: String,
    pub shape: Vec<usize>,
    pub bytes: usize,
    /// From the start of the file; 0 until its place is known.
    pub offset: usize,
}

/// A tensor of the source and the tensors that it becomes.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub key: String,
    pub form: Form,
    pub pieces: Vec<Piece>,
}

/// One file.
#[derive(Debug)]
pub(super) struct Shard {
    pub items: Vec<Item>,
    /// With its length before it and filled up.
    pub header: Vec<u8>,
    /// Of the file.
    pub bytes: usize,
}

/// The files of a component.
pub(super) fn shards(component: &Component, conversion: &Conversion) -> Result<Vec<Shard>, ImportError> {
    let mut shards: Vec<(usize, Vec<Item>)> = Vec::new();
    for item in items(component, conversion)? {
        let bytes = item.pieces.iter().map(|piece| piece.bytes).sum::<usize>();
        match shards.last_mut() {
            Some((filled, items)) if *filled + bytes <= SHARD => {
                *filled += bytes;
                items.push(item);
            }
            _ => shards.push((bytes, vec![item])),
        }
    }
    Ok(shards.into_iter().map(|(_, items)| Shard::of(items)).collect())
}

fn items(component: &Component, conversion: &Conversion) -> Result<Vec<Item>, ImportError> {
    let (source, linears) = (&component.source, linears(component)?);
    let whole = matches!(component.fingerprint.kind, Kind::Vae21 | Kind::Vae22 | Kind::Clip);
    // Behind other prefixes lie other components.
    let prefix = &component.fingerprint.prefix;
    let names = source.names().into_iter().filter(|name| whole || name.starts_with(prefix));
    let item = |name: &str| {
        let info = source.info(name)?;
        let form = if whole { Form::Same } else { form(info, linears.get(name), conversion) };
        Some((name.to_owned(), info, form))
    };
    let found = names.filter_map(item).map(|(key, info, form)| {
        if let Stored::Quantized(_) = info.dtype {
            let path = source.path().to_owned();
            let detail = format!("{key} is quantized already");
            return Err(ImportError::Package { path, detail, hint: "convert the model it was made from" });
        }
        let pieces = pieces(&key, info, form);
        Ok(Item { key, form, pieces })
    });
    found.collect()
}

/// What a weight that may be quantized belongs to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Linear {
    /// A large layer of a block.
    OfBlock,
    /// One of [`EMBEDDINGS`].
    Embedding,
}

/// Weights that may be quantized, by key.
fn linears(component: &Component) -> Result<BTreeMap<String, Linear>, ImportError> {
    let (device, mut found) = (Device::flex(), BTreeMap::new());
    match component.fingerprint.kind {
        Kind::Dit(_) => {
            let keys = component.dit_keys();
            let embeddings = EMBEDDINGS.iter().filter_map(|path| keys.file_key(&format!("{path}.weight")));
            found.extend(embeddings.map(|key| (key, Linear::Embedding)));
            collect(&mut WanTransformer::new(&component.dit_config()?, &device), "", &keys, &mut found);
        }
        Kind::Umt5 => {
            let (config, keys) = (component.text_config()?, component.umt5_keys());
            for index in 0..config.layers {
                let mut block = Umt5Block::new(&config, &device);
                collect(&mut block, &format!("blocks.{index}"), &keys, &mut found);
            }
        }
        Kind::Vae21 | Kind::Vae22 | Kind::Clip => {}
    }
    Ok(found)
}

fn collect(module: &mut impl LargeLinears, at: &str, keys: &KeyTable, found: &mut BTreeMap<String, Linear>) {
    module.large_linears(at, &mut |path, _| {
        found.extend(keys.file_key(&format!("{path}.weight")).map(|key| (key, Linear::OfBlock)));
    });
}

fn form(info: &TensorInfo, linear: Option<&Linear>, conversion: &Conversion) -> Form {
    let large = info.shape.iter().product::<usize>() >= LARGE;
    let own = match info.dtype {
        Stored::F32 | Stored::F64 => FloatDType::F32,
        Stored::F16 => FloatDType::F16,
        Stored::Bf16 => FloatDType::BF16,
        Stored::Quantized(_) | Stored::Other(_) => return Form::Same,
    };
    let quant = conversion.quant.and_then(|quant| match linear? {
        Linear::OfBlock => Some(quant),
        Linear::Embedding => large.then_some(Quant::Int8),
    });
    match (quant, info.shape.as_slice()) {
        (Some(quant), &[_, k]) if quant.fits(k) => Form::Quantized(quant),
        _ if large || linear == Some(&Linear::OfBlock) => Form::Float(conversion.dtype.unwrap_or(own)),
        _ => Form::Float(FloatDType::F32),
    }
}

fn pieces(key: &str, info: &TensorInfo, form: Form) -> Vec<Piece> {
    let piece = |dtype: String, bytes| {
        vec![Piece { name: key.to_owned(), dtype, shape: info.shape.clone(), bytes, offset: 0 }]
    };
    let elements: usize = info.shape.iter().product();
    match (form, info.shape.as_slice()) {
        (Form::Quantized(quant), &[n, k]) => quantize::pieces(quant, key, [n, k]),
        (Form::Float(FloatDType::F16), _) => piece("F16".into(), 2 * elements),
        (Form::Float(FloatDType::BF16), _) => piece("BF16".into(), 2 * elements),
        (Form::Float(_), _) => piece("F32".into(), 4 * elements),
        _ => piece(info.dtype.to_string(), info.bytes),
    }
}

impl Shard {
    /// Tensors follow each other without a gap, as the format asks, those of the roundest lengths first: so each starts
    /// on a multiple of the largest power of two up to 64 that divides its length.
    fn of(mut items: Vec<Item>) -> Self {
        let mut pieces: Vec<&mut Piece> = items.iter_mut().flat_map(|item| &mut item.pieces).collect();
        pieces.sort_by_key(|piece| Reverse(piece.bytes.trailing_zeros().min(ALIGNMENT.trailing_zeros())));
        let mut end = 0;
        for piece in &mut pieces {
            piece.offset = end;
            end += piece.bytes;
        }
        let header = header(&pieces);
        pieces.iter_mut().for_each(|piece| piece.offset += header.len());
        let bytes = header.len() + end;
        Self { items, header, bytes }
    }
}

/// Length and JSON, with spaces up to the alignment. Offsets count from its end.
fn header(pieces: &[&mut Piece]) -> Vec<u8> {
    let entry = |piece: &&mut Piece| {
        let offsets = [piece.offset, piece.offset + piece.bytes];
        let value = json!({ "dtype": piece.dtype, "shape": piece.shape, "data_offsets": offsets });
        format!("{}:{value}", Value::from(piece.name.as_str()))
    };
    let tensors = pieces.iter().map(entry);
    let entries: Vec<_> =
        [r#""__metadata__":{"format":"pt"}"#.to_owned()].into_iter().chain(tensors).collect();
    let mut json = format!("{{{}}}", entries.join(",")).into_bytes();
    json.resize((json.len() + 8).next_multiple_of(ALIGNMENT) - 8, b' ');
    let mut header = (json.len() as u64).to_le_bytes().to_vec();
    header.append(&mut json);
    header
}
