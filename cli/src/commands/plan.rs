//! `wan plan`: whether a job fits, before anything is loaded.

use std::fmt::Write;

use wan_benches::Preset;
use wan_pipeline::{Bytes, DeviceRoom, Room};

use super::{generate, print, print_json};
use crate::{
    Failure,
    args::{GenerateArgs, PlanArgs},
    engine::{self, EngineError, JobPlan},
};

/// Plans the job that the flags describe.
pub fn run(args: &PlanArgs, quiet: bool) -> Result<(), Failure> {
    tell(&args.generate, args.preset, quiet)
}

/// Prints the plan, or refuses the job as `generate` would.
pub fn tell(args: &GenerateArgs, preset: Option<Preset>, quiet: bool) -> Result<(), Failure> {
    let request = generate::planned(args, preset.is_some(), quiet)?;
    let plan = engine::plan(&request, preset)?;
    if args.json {
        print_json(&plan)?
    } else {
        print(table(&plan).trim_end())?
    }
    match plan.refusal {
        Some(refusal) => Err(EngineError::into(refusal)),
        None => Ok(()),
    }
}

fn table(plan: &JobPlan) -> String {
    let mut text = String::new();
    let JobPlan { width, height, frames, tokens, device, dtype, .. } = plan;
    let quant = plan.quant.map(|quant| format!(", weights in {quant}")).unwrap_or_default();
    // Writing to a string cannot fail.
    let _ =
        writeln!(text, "{width}x{height}, {frames} frames, {tokens} tokens, {dtype}{quant}, on {device}\n");
    let _ = writeln!(text, "{:8} {:20} {:>10} {:>10} {:>10}", "phase", "", "memory", "mapped", "device");
    for phase in &plan.memory.phases {
        let name = format!("{:?}", phase.phase).to_lowercase();
        for (n, part) in phase.parts.iter().enumerate() {
            let name = if n == 0 { &name } else { "" };
            text += &row(name, &part.part.to_string(), part.bytes);
        }
        text += &row("", "together", phase.total());
    }
    text += &row("process", "", plan.memory.overhead);
    text += &row("peak", "", plan.peak.bytes);
    let there = available(&plan.available, plan.peak.bytes.device > 0);
    let _ = writeln!(text, "\nlargest resident set {}; {there}", gigabytes(plan.peak.resident));
    let placed = &plan.placement;
    let _ = write!(text, "placement: --offload {}, --vae-dtype {}", placed.offload, placed.vae_dtype);
    if let [rows, columns] = placed.vae_tiling
        && rows * columns > 1
    {
        let _ = write!(text, ", --vae-tiling {rows}x{columns}");
    }
    if let Some(blocks) = placed.camera_blocks {
        let _ = write!(text, ", camera modulations of {blocks} blocks kept");
    }
    text.push('\n');
    for note in &plan.notes {
        let _ = writeln!(text, "note: {note}");
    }
    text + &verdict(plan)
}

fn row(phase: &str, part: &str, bytes: Bytes) -> String {
    let [host, mapped, device] = [bytes.host, bytes.mapped, bytes.device].map(|bytes| match bytes {
        0 => "-".to_owned(),
        bytes => gigabytes(bytes),
    });
    format!("{phase:8} {part:20} {host:>10} {mapped:>10} {device:>10}\n")
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.2} GB", bytes as f64 / 1e9)
}

fn available(room: &Room, on_device: bool) -> String {
    let host = room
        .host
        .map_or("memory is not bounded".to_owned(), |bytes| format!("{} are available", gigabytes(bytes)));
    match room.device {
        DeviceRoom::Own(bytes) => format!("{host}, {} on the device", gigabytes(bytes)),
        DeviceRoom::Shared => format!("{host}, shared with the device"),
        DeviceRoom::Unknown if on_device => format!("{host}; how much the device has is not known"),
        DeviceRoom::Unknown => host,
    }
}

fn verdict(plan: &JobPlan) -> String {
    match (&plan.shortage, plan.fits) {
        (None, _) => "it fits".to_owned(),
        (Some(shortage), true) => {
            let (needed, available) = (gigabytes(shortage.needed), gigabytes(shortage.available));
            format!("close: about {needed} of {available} {}", shortage.what)
        }
        (Some(_), false) => "it does not fit".to_owned(),
    }
}
