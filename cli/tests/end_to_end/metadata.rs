//! What clips say about themselves, and runs repeated by it.

use std::fs;

use serde_json::Value;

use crate::{
    bench::{ABSENT, Bench, Ended},
    mp4,
};

fn inspected(bench: &Bench, path: &str) -> Value {
    serde_json::from_str(&bench.wan(&["inspect", path, "--json"]).good().stdout).unwrap()
}

/// A seeded run of a copied checkpoint with most settings left to the model.
fn make(bench: &Bench, output: &str) -> Ended {
    let flags = [
        ("--model", "diffusers"),
        ("--noise", ABSENT),
        ("--seed", "11"),
        ("--steps", "2"),
        ("--guidance", ABSENT),
        ("--negative", ABSENT),
        ("--output", output),
    ];
    bench.generate(&flags, &[])
}

fn luma(bench: &Bench, name: &str) -> Vec<Vec<u8>> {
    let bytes = fs::read(bench.path(name)).unwrap();
    mp4::pictures(&bytes).into_iter().map(|picture| picture.luma).collect()
}

#[test]
fn a_clip_says_how_it_was_made_and_is_made_again() {
    let bench = Bench::new();
    bench.copy("diffusers");
    make(&bench, "a.mp4").good();
    let said = inspected(&bench, "a.mp4");
    assert_eq!(said["wan"], env!("CARGO_PKG_VERSION"));
    let settings = &said["settings"];
    assert_eq!((&settings["seed"], &settings["steps"]), (&11.into(), &2.into()));
    for settled in ["negative", "shift", "guidance", "solver", "fps", "task", "schedule", "dtype"] {
        assert!(!settings[settled].is_null(), "{settled}: {settings}");
        assert!(said["given"].get(settled).is_none(), "{settled}: {said}");
    }
    let models = said["models"].as_array().unwrap();
    for component in ["transformer", "vae", "text_encoder", "tokenizer"] {
        let found = models.iter().any(|file| file["component"] == component && file["hash"].is_string());
        assert!(found, "{component}: {models:?}");
    }
    let text = bench.wan(&["inspect", "a.mp4"]).good().stdout;
    assert!(text.contains("seed: 11") && text.contains("a clip that wan"), "{text}");
    let again = bench.wan(&["generate", "--from", "a.mp4", "-o", "b.mp4"]).good();
    assert!(!again.stderr.contains("warning"), "{}", again.stderr);
    assert_eq!(luma(&bench, "a.mp4"), luma(&bench, "b.mp4"));
    assert_eq!(inspected(&bench, "b.mp4")["settings"], *settings);
}

#[test]
fn flags_win_over_the_clip() {
    let bench = Bench::new();
    bench.copy("diffusers");
    make(&bench, "a.mp4").good();
    bench.wan(&["generate", "--from", "a.mp4", "--seed", "12", "--seconds", "0.3", "-o", "b.webp"]).good();
    let [first, second] = ["a.mp4", "b.webp"].map(|name| inspected(&bench, name)["settings"].clone());
    assert_eq!((&second["seed"], &second["frames"]), (&12.into(), &5.into()));
    for same in ["prompt", "negative", "size", "steps", "shift"] {
        assert_eq!(first[same], second[same], "{same}");
    }
}

#[test]
fn every_kind_of_clip_can_be_repeated() {
    let bench = Bench::new();
    bench.copy("diffusers");
    fs::create_dir(bench.path("frames")).unwrap();
    for output in ["a.gif", "a.webp", "a_%02d.png", "frames"] {
        make(&bench, output).good();
        assert_eq!(inspected(&bench, output)["settings"]["seed"], 11, "{output}");
    }
    assert_eq!(inspected(&bench, "a_03.png")["settings"]["seed"], 11);
    bench.wan(&["generate", "--from", "frames", "--steps", "1", "-o", "b.gif"]).good();
}

#[test]
fn another_model_is_told() {
    let bench = Bench::new();
    bench.copy("diffusers");
    make(&bench, "a.mp4").good();
    let path = bench.path("diffusers/vae/config.json");
    let config = fs::read_to_string(&path).unwrap();
    fs::write(&path, config + "\n").unwrap();
    let other = bench.wan(&["generate", "--from", "a.mp4", "-o", "b.mp4", "--json"]).good();
    assert!(other.stderr.contains("warning: the vae is not the one"), "{}", other.stderr);
    let report: Value = serde_json::from_str(&other.stdout).unwrap();
    assert_eq!(report["warnings"].as_array().unwrap().len(), 1, "{report}");
}

#[test]
fn clips_without_settings_are_refused() {
    let bench = Bench::new();
    bench.copy("diffusers");
    bench.generate(&[("--steps", "1")], &["--no-metadata"]).good();
    for command in [["inspect", "x.mp4"].as_slice(), &["generate", "--from", "x.mp4", "-o", "y.mp4"]] {
        bench.wan(command).refused("carries no settings of wan", "--no-metadata");
    }
    bench.wan(&["generate", "--from", "absent.mp4"]).refused("absent.mp4 cannot be read", "a clip");
    bench.wan(&["generate", "--from", "noise.safetensors"]).refused("carries no settings", "");
}
