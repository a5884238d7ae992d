//! `wan devices`: what a job can run on.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{print, print_json};
use crate::{
    Failure,
    args::DevicesArgs,
    devices::{Adapter, adapters, automatic},
};

/// Prints the host devices, every adapter, and what `auto` takes.
pub fn run(args: &DevicesArgs) -> Result<(), Failure> {
    let adapters = adapters();
    let auto = automatic(&adapters).describe();
    if args.json {
        return print_json(&json!({ "auto": auto, "devices": listing(&adapters) }));
    }
    let mut text = "cpu      fast path on the host\nndarray  reference on the host\n".to_owned();
    for adapter in &adapters {
        // Writing to a string cannot fail.
        let _ = write!(text, "{}", paragraph(adapter));
    }
    print(&format!("{text}auto takes {auto}"))
}

fn listing(adapters: &[Adapter]) -> Vec<Value> {
    let host = |device: &str, name: &str| json!({ "device": device, "name": name, "backend": "host", "type": "cpu", "f16": true, "bf16": true, "matrix_units": false });
    let hosts = [host("cpu", "fast path on the host"), host("ndarray", "reference on the host")];
    hosts.into_iter().chain(adapters.iter().map(|adapter| json!(adapter))).collect()
}

fn paragraph(adapter: &Adapter) -> String {
    let yes = |flag: bool| if flag { "yes" } else { "no" };
    let kind = format!("{:?}", adapter.kind).to_lowercase();
    format!(
        "{:8} {} ({}, {kind}; {})\n         buffer {} MiB, binding {} MiB, workgroup memory {} KiB, {} invocations\n         \
         f16 {}, bf16 {}, matrix units {}\n",
        adapter.device.as_deref().unwrap_or("-"),
        adapter.name,
        adapter.backend,
        adapter.driver,
        adapter.max_buffer_bytes >> 20,
        adapter.max_storage_binding_bytes >> 20,
        adapter.workgroup_memory_bytes >> 10,
        adapter.invocations_per_workgroup,
        yes(adapter.f16),
        yes(adapter.bf16),
        matrix_units(adapter),
    )
}

/// Matrix units on Vulkan are reached through SPIR-V alone.
fn matrix_units(adapter: &Adapter) -> &'static str {
    match adapter.matrix_units {
        true if adapter.backend == "vulkan" && cfg!(not(feature = "vulkan")) => {
            "yes, but not in this build: `--features vulkan` uses them, many times as fast with --dtype f16"
        }
        true => "yes",
        false => "no",
    }
}
