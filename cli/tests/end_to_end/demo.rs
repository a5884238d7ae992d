//! The built-in model, from the bare command to the file.

use std::fs;

use serde_json::Value;

use crate::{
    bench::{Bench, Ended},
    mp4,
};

/// A command whose temporary files go to a folder of their own.
fn wan(bench: &Bench, args: &[&str]) -> Ended {
    fs::create_dir_all(bench.path("temporary")).unwrap();
    let mut command = bench.command(args);
    command.env("TMPDIR", bench.path("temporary"));
    Ended::of(command)
}

#[test]
fn a_prompt_alone_makes_a_clip_and_leaves_nothing_else() {
    let bench = Bench::new();
    let args =
        ["generate", "--prompt", "a red ball rolls to the left", "--seed", "7", "--device", "cpu", "--json"];
    let report = wan(&bench, &args).good();
    assert!(report.stderr.contains("built-in demo"), "{}", report.stderr);
    let report: Value = serde_json::from_str(&report.stdout).unwrap();
    assert_eq!(report["output"], "wan-7.mp4");
    #[cfg(unix)]
    assert!(report["peak_memory_bytes"].as_u64().unwrap() < 1 << 30, "{report}");
    let pictures = mp4::pictures(&fs::read(bench.path("wan-7.mp4")).unwrap());
    assert_eq!(pictures.len(), 17);
    assert!(pictures.iter().all(|picture| (picture.width, picture.height) == (96, 96)));
    assert_eq!(fs::read_dir(bench.path("temporary")).unwrap().count(), 0);
}

#[test]
fn the_model_can_be_named_and_inspected() {
    let bench = Bench::new();
    let args = [
        "generate", "--model", "demo", "--prompt", "a ball", "--steps", "1", "--frames", "5", "--device",
        "cpu", "-o", "a.gif",
    ];
    let named = wan(&bench, &args).good();
    assert_eq!(named.stdout, "a.gif\n");
    assert!(!named.stderr.contains("built-in"), "{}", named.stderr);
    let text = wan(&bench, &["inspect", "demo"]).good().stdout;
    assert!(text.contains("t2v transformer") && text.contains("z_dim: 16"), "{text}");
    assert_eq!(fs::read_dir(bench.path("temporary")).unwrap().count(), 0);
}

#[test]
fn help_shows_the_first_command() {
    let help = Bench::new().wan(&["generate", "--help"]).good().stdout;
    assert!(help.contains("wan generate --prompt \"a red ball rolls to the left\""), "{help}");
}

#[test]
fn a_folder_for_temporary_files_that_is_not_there_is_named() {
    let bench = Bench::new();
    let mut command = bench.command(&["generate", "--prompt", "a ball", "--device", "cpu"]);
    command.env("TMPDIR", bench.path("absent"));
    Ended::of(command).refused("the built-in model cannot be unpacked", "set TMPDIR");
}
