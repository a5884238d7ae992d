//! `wan compile`, and what `wan generate` counts.

use std::{fs, path::Path};

use serde_json::Value;
use testkit::{Golden, devices, report_skip};

use crate::bench::{Bench, Ended, tiny};

fn object(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_host_compiles_nothing() {
    let bench = Bench::new();
    let model = tiny("diffusers").display().to_string();
    let report =
        object(&bench.wan(&["compile", "--model", &model, "--device", "cpu", "--json"]).good().stdout);
    assert_eq!((&report["kernels_compiled"], &report["tuned"]), (&0.into(), &0.into()));
    assert!(report["kept"].as_str().unwrap().starts_with("nothing"), "{report}");
    let made = object(&bench.generate(&[("--steps", "1")], &["--json"]).good().stdout);
    assert_eq!((&made["kernels_compiled"], &made["tuned"]), (&0.into(), &0.into()));
}

/// What a rehearsal compiles is what the run itself does, whose prompt has the same length.
#[test]
fn an_adapter_compiles_in_a_rehearsal_what_it_does_in_a_run() {
    if !devices().iter().any(|device| device.name == "wgpu") {
        return report_skip("wgpu", "no adapter");
    }
    let bench = Bench::new();
    let model = tiny("diffusers").display().to_string();
    let golden = Golden::load("pipeline");
    let flags = [
        ["--model", &*model],
        ["--prompt", golden.text("prompt")],
        ["--negative", golden.text("negative")],
        ["--size", "48x32"],
        ["--frames", "9"],
        ["--guidance", "5"],
        ["--device", "wgpu"],
    ];
    let flags = flags.concat();
    // Whichever comes first checks the device's kernels, too.
    bench.wan(&[&["compile"], &flags[..]].concat()).good();
    let ended = bench.wan(&[&["compile", "--json"], &flags[..]].concat()).good();
    let compiled = object(&ended.stdout);
    let made =
        object(&bench.wan(&[&["generate", "--json", "--steps", "3"], &flags[..]].concat()).good().stdout);
    let count = |report: &Value| report["kernels_compiled"].as_u64().unwrap();
    assert!(count(&compiled) > 20, "{compiled}");
    assert_eq!(count(&compiled), count(&made), "{compiled} {made}");
    assert_eq!(compiled["tokens"], made["tokens"]);
}

/// Files below `folder`.
fn files(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().map(Result::unwrap);
    entries.map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { 1 }).sum()
}

/// Looks at the driver's own cache, where the driver is Mesa: a run after a rehearsal adds nothing to it, however long its
/// prompt is.
#[test]
fn after_a_rehearsal_the_driver_compiles_nothing() {
    if !devices().iter().any(|device| device.name == "wgpu") {
        return report_skip("wgpu", "no adapter");
    }
    let bench = Bench::new();
    let (cache, model) = (bench.path("mesa"), tiny("diffusers").display().to_string());
    let wan = |args: &[&str]| {
        let flags = ["--model", &model, "--size", "48x32", "--frames", "9", "--device", "wgpu"];
        let mut command = bench.command(&[args, &flags].concat());
        command.env("MESA_SHADER_CACHE_DIR", &cache);
        Ended::of(command).good()
    };
    fs::create_dir(&cache).unwrap();
    wan(&["compile"]);
    let compiled = files(&cache);
    if compiled == 0 {
        return report_skip("wgpu", "the driver is not Mesa");
    }
    for words in [2, 6, 25, 58, 110] {
        let prompt = vec!["fox"; words].join(" ");
        // The decoder's state, which is saved from time to time, takes a kernel of its own.
        let flags = ["--steps", "3", "--overwrite", "--save-every", "0", "--prompt", &prompt];
        wan(&[&["generate"], &flags[..]].concat());
        assert_eq!(files(&cache), compiled, "a prompt of {words} words");
    }
}
