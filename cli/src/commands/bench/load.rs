//! `wan bench load`.

use std::ops::ControlFlow;

use wan_benches::{
    Networks,
    load::{Options, Row, run as measure, write_random},
};
use wan_import::Stored;
use wan_pipeline::PipelineError;

use super::{Teller, gigabytes, guarded, networks};
use crate::{
    Failure,
    args::{LoadArgs, StoredDtype},
    engine::EngineError,
    media::{MediaError, TemporaryFolder},
};

pub(super) fn run(args: &LoadArgs, teller: &mut Teller) -> Result<ControlFlow<()>, Failure> {
    let forms = networks::forms(args.dtype, &args.quant, teller)?;
    let opened = args.networks.model.is_some().then(|| networks::open(&args.networks)).transpose()?;
    let made = if opened.is_none() { Some(written(args, teller)?) } else { None };
    let found =
        opened.as_ref().map(|opened| &opened.networks).or(made.as_ref().map(|(networks, _)| networks));
    let Some(networks) = found.cloned() else { return Ok(ControlFlow::Continue(())) };
    let (device, warmup, runs) = (teller.device.clone(), args.runs.warmup, args.runs.runs);
    let options = Options { device, networks, forms, warmup, runs };
    teller.heading();
    guarded(|| measure(&options, |row| teller.tell(&row, text)))
}

/// A preset's transformer on disk.
fn written(args: &LoadArgs, teller: &Teller) -> Result<(Networks, TemporaryFolder), Failure> {
    let parent = args.folder.clone().unwrap_or_else(std::env::temp_dir);
    let unwritable = |error: MediaError| {
        let message = format!("nothing can be written to {}: {error}", parent.display());
        Failure { hint: Some("name another folder with --folder".to_owned()), ..Failure::failed(message) }
    };
    let folder = TemporaryFolder::new(&parent).map_err(unwritable)?;
    let preset = networks::preset(&args.networks);
    let stored = match args.stored {
        StoredDtype::F32 => Stored::F32,
        StoredDtype::F16 => Stored::F16,
        StoredDtype::Bf16 => Stored::Bf16,
    };
    let _ = teller.whisper(|| format!("writing random weights of {} to {}", preset.name, parent.display()));
    let written = write_random(preset, args.blocks, &stored, folder.path());
    let networks = written.and_then(|path| Networks::open(&path));
    let mut networks = networks.map_err(|error| EngineError::from(PipelineError::from(error)))?;
    networks.name = preset.name.to_owned();
    Ok((networks, folder))
}

fn text(row: &Row) -> String {
    format!(
        "{:26} {:7.2} GB as {:4} {:4}  {:7.2} s, first {:7.2} s, {:6.2} GB/s, peak {}",
        row.component,
        row.file_bytes as f64 / 1e9,
        row.dtype,
        row.quant,
        row.median_seconds,
        row.first_seconds,
        row.gigabytes_per_second,
        gigabytes(row.peak_memory_bytes),
    )
}
