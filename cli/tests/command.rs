//! The built binary: help, exit codes, refusals before any work.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use tempfile::TempDir;

fn wan(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wan"));
    command.env("WAN_CACHE", folder.join("cache"));
    command.current_dir(folder).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Runs `generate` on an empty model folder with these further flags.
fn generate(folder: &Path, args: &[&str]) -> Output {
    fs::create_dir_all(folder.join("model")).unwrap();
    let common = ["generate", "--prompt", "a fox", "--model", "model", "--device", "cpu"];
    wan(folder, &[&common, args].concat())
}

/// Exit code 2, an empty stdout, and stderr with all of `parts`.
fn assert_refused(output: &Output, parts: &[&str]) {
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(output.stdout.is_empty(), "stdout: {}", text(&output.stdout));
    assert!(stderr.starts_with("error: "), "{stderr}");
    for part in parts.iter().chain(&["hint: "]) {
        assert!(stderr.contains(part), "no {part:?} in: {stderr}");
    }
}

#[test]
fn help_shows_an_example_for_every_command() {
    let folder = TempDir::new().unwrap();
    for command in ["generate", "inspect", "devices", "doctor"] {
        let output = wan(folder.path(), &[command, "--help"]);
        assert_eq!(output.status.code(), Some(0));
        let help = text(&output.stdout);
        let (_, examples) = help.split_once("\nExample").unwrap_or_else(|| panic!("{command}"));
        assert!(examples.contains(&format!(":\n  wan {command}")), "{command}");
    }
}

#[test]
fn help_spells_the_contract() {
    let folder = TempDir::new().unwrap();
    let help = text(&wan(folder.path(), &["generate", "--help"]).stdout);
    let flags = "--prompt --prompt-file --negative --model --dit --vae --text-encoder --tokenizer --task --size \
                 --frames --seconds --fps --steps --solver --shift --guidance --schedule --seed --noise --device \
                 --dtype --quant --offload --output --overwrite --json --dump";
    for flag in flags.split_whitespace() {
        assert!(help.contains(&format!("{flag} ")) || help.contains(&format!("{flag}\n")), "{flag}");
    }
    assert!(help.contains("dpm++"));
}

#[test]
fn bad_values_are_usage_errors_that_name_the_flag() {
    let folder = TempDir::new().unwrap();
    let cases: [(&[&str], &str); 12] = [
        (&["--size", "832"], "--size"),
        (&["--size", "0x480"], "--size"),
        (&["--size", "832x-1"], "--size"),
        (&["--frames", "0"], "--frames"),
        (&["--seconds", "nan"], "--seconds"),
        (&["--frames", "5", "--seconds", "2"], "--seconds"),
        (&["--fps", "0"], "--fps"),
        (&["--guidance", "-1"], "--guidance"),
        (&["--device", "cuda"], "--device"),
        (&["--device", "all"], "--device"),
        (&["--solver", "ddim"], "--solver"),
        (&["--colour"], "--colour"),
    ];
    for (args, flag) in cases {
        assert_refused(&generate(folder.path(), args), &[flag]);
    }
}

#[test]
fn a_job_needs_a_prompt_and_a_model() {
    let folder = TempDir::new().unwrap();
    assert_refused(&wan(folder.path(), &["generate", "--model", "."]), &["--prompt"]);
    assert_refused(
        &wan(folder.path(), &["generate", "--prompt", "a fox", "--vae", "."]),
        &["no model given", "--model DIR"],
    );
    let absent = wan(folder.path(), &["generate", "--prompt", "a fox", "--model", "absent"]);
    assert_refused(&absent, &["absent does not exist"]);
    let file = wan(folder.path(), &["generate", "--prompt-file", "absent.txt", "--model", "."]);
    assert_refused(&file, &["absent.txt"]);
}

#[test]
fn an_existing_output_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("film.mp4");
    fs::write(&path, "kept").unwrap();
    assert_refused(&generate(folder.path(), &["-o", "film.mp4"]), &["film.mp4 exists", "--overwrite"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), "kept");

    fs::create_dir(folder.path().join("frames")).unwrap();
    fs::write(folder.path().join("frames/frame_0003.png"), "").unwrap();
    assert_refused(&generate(folder.path(), &["-o", "frames"]), &["frame_%04d.png exists"]);
}

#[test]
fn outputs_that_cannot_succeed_are_refused() {
    let folder = TempDir::new().unwrap();
    assert_refused(&generate(folder.path(), &["-o", "a.webm"]), &[".webm is not supported", "use .mp4"]);
    assert_refused(&generate(folder.path(), &["-o", "a.avi"]), &["a.avi", ".mp4, .gif"]);
    assert_refused(&generate(folder.path(), &["-o", "absent/a.mp4"]), &["absent is not a folder"]);
    assert_refused(&generate(folder.path(), &["-o", "a.png"]), &["one .png holds one frame", "--frames 1"]);
    assert_refused(&generate(folder.path(), &["-o", "a_%s.png"]), &["pattern"]);
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["model"]);
}

#[test]
fn inspect_names_what_is_missing() {
    let folder = TempDir::new().unwrap();
    assert_refused(&wan(folder.path(), &["inspect", "absent"]), &["absent does not exist"]);
}

#[test]
fn devices_are_listed_as_json() {
    let folder = TempDir::new().unwrap();
    let output = wan(folder.path(), &["devices", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let devices = value["devices"].as_array().unwrap();
    assert_eq!(
        (devices[0]["device"].as_str(), devices[1]["device"].as_str()),
        (Some("cpu"), Some("ndarray"))
    );
    for adapter in &devices[2..] {
        assert!(adapter["max_storage_binding_bytes"].as_u64().unwrap() > 0, "{adapter}");
        assert!(adapter["f16"].is_boolean() && adapter["type"].is_string(), "{adapter}");
    }
    assert!(value["auto"].is_string());
}
