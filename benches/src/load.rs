//! Bringing a checkpoint's components into memory.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use burn::prelude::*;
use serde::Serialize;
use wan_import::{
    Component, DtypePolicy, ImportError, KeyTable, Kind, Naming, Stored, TensorSource, load_network,
};
use wan_model::{
    WanConfig, WanTransformer,
    text::{Umt5Block, Umt5Config},
};

use crate::{
    Form, Networks, Preset, RandomWeights,
    memory::{peak_memory_bytes, reset_peak},
    step::median_of,
    time,
};

/// Most bytes of a file that is written only to be measured, unless more blocks are asked for.
const FILE_BYTES: f64 = 4e9;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    pub device: Device,
    /// On disk.
    pub networks: Networks,
    pub forms: Vec<Form>,
    pub warmup: usize,
    pub runs: usize,
}

/// One component in one form.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub model: String,
    pub component: &'static str,
    /// Of all tensors in the file.
    pub file_bytes: u64,
    pub dtype: &'static str,
    pub quant: &'static str,
    /// Of the first time, when the file may not be in memory yet.
    pub first_seconds: f64,
    /// Of each time after the warm-up.
    pub seconds: Vec<f64>,
    pub median_seconds: f64,
    pub gigabytes_per_second: f64,
    /// Of the process, since the first time began.
    pub peak_memory_bytes: Option<u64>,
}

/// Measures every component in every form, the transformer's forms that is, until `told` breaks off.
///
/// # Errors
/// Those of loading.
pub fn run(
    options: &Options,
    mut told: impl FnMut(Row) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, ImportError> {
    for (name, component) in options.networks.components() {
        let forms = match component.fingerprint.kind {
            Kind::Dit(_) => options.forms.clone(),
            _ => vec![Form::F32],
        };
        for form in forms {
            if told(row(options, name, component, form)?).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn row(options: &Options, name: &'static str, component: &Component, form: Form) -> Result<Row, ImportError> {
    let source = &component.source;
    let infos = source.names().into_iter().filter_map(|name| source.info(name));
    let file_bytes: usize = infos.map(|info| info.bytes).sum();
    reset_peak();
    let mut result = Ok(());
    let all = time(options.warmup + options.runs, || {
        let loaded = load(component, form, &options.device);
        assert!(options.device.sync().is_ok(), "the device failed");
        result = std::mem::replace(&mut result, Ok(())).and(loaded);
    });
    result?;
    let median_seconds = median_of(&all[options.warmup..]);
    Ok(Row {
        model: options.networks.name.clone(),
        component: name,
        file_bytes: file_bytes as u64,
        dtype: form.dtype_name(),
        quant: form.quant_name(),
        first_seconds: all.first().copied().unwrap_or_default(),
        seconds: all[options.warmup..].to_vec(),
        median_seconds,
        gigabytes_per_second: file_bytes as f64 / median_seconds / 1e9,
        peak_memory_bytes: peak_memory_bytes(),
    })
}

/// Loads a component as a run does, and lets go of it.
fn load(component: &Component, form: Form, device: &Device) -> Result<(), ImportError> {
    match component.fingerprint.kind {
        Kind::Dit(_) => component.load_transformer(&form.policy(device), device).map(drop),
        Kind::Vae21 | Kind::Vae22 => {
            component.load_vae_encoder(device)?;
            component.load_vae_decoder(device).map(drop)
        }
        Kind::Clip => component.load_clip_vision(&DtypePolicy::F32, device).map(drop),
        _ => load_text(component, &component.text_config()?, device),
    }
}

/// Layer by layer.
fn load_text(component: &Component, config: &Umt5Config, device: &Device) -> Result<(), ImportError> {
    let keys = component.umt5_keys();
    (0..config.layers).try_for_each(|index| {
        let block = Umt5Block::new(config, device);
        let at = format!("blocks.{index}");
        load_network(block, &at, &*component.source, &keys, &DtypePolicy::F32, device).map(drop)
    })
}

/// Writes the first `blocks` blocks of a preset's transformer with random weights as a safetensors file in the authors'
/// layout, and returns its path. As many blocks as four gigabytes hold unless given.
///
/// # Errors
/// [`ImportError::Io`].
pub fn write_random(
    preset: Preset,
    blocks: Option<usize>,
    dtype: &Stored,
    folder: &Path,
) -> Result<PathBuf, ImportError> {
    let whole = preset.config();
    let bytes = |layers| {
        let parameters = WanConfig { layers, ..whole.clone() }.parameter_count().unwrap_or_default();
        (parameters * dtype.size().unwrap_or_default() as u64) as f64
    };
    let fitting = ((FILE_BYTES - bytes(0)) / (bytes(1) - bytes(0))) as usize;
    let layers = blocks.unwrap_or(fitting).clamp(1, whole.layers);
    let module = WanTransformer::new(&WanConfig { layers, ..whole }, &Device::flex());
    let weights = RandomWeights::of(&module, &KeyTable::dit(Naming::Official, ""), dtype);
    let path = folder.join("random.safetensors");
    let written = File::create(&path).and_then(|file| write(&weights, BufWriter::new(file)));
    written.map_err(|source| ImportError::Io { path: path.clone(), source })?;
    Ok(path)
}

/// The safetensors format: length of the header, header, values.
fn write(weights: &RandomWeights, mut out: impl Write) -> io::Result<()> {
    let (mut header, mut end) = (serde_json::Map::new(), 0);
    let tensors = || weights.names().into_iter().filter_map(|name| Some((name, weights.info(name)?)));
    for (name, info) in tensors() {
        let start = end;
        end += info.bytes;
        let about = serde_json::json!({
            "dtype": info.dtype.to_string(), "shape": info.shape, "data_offsets": [start, end],
        });
        header.insert(name.to_owned(), about);
    }
    let header = serde_json::to_vec(&header)?;
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(&header)?;
    for (name, _) in tensors() {
        let values = weights.data(name).ok_or(io::ErrorKind::NotFound)?;
        out.write_all(&values)?;
    }
    out.flush()
}
