//! The kernels' check, what it leaves in the cache, and what later runs make of that.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use crate::bench::{Bench, Ended};

const CHECKING: &str = "checking this device's kernels once";

/// A command with a cache of its own.
fn wan(bench: &Bench, args: &[&str]) -> Ended {
    let mut command = bench.command(args);
    command.env("WAN_CACHE", bench.path("cache"));
    Ended::of(command)
}

/// A short film with a cache of its own and this `WAN_KERNELS`.
fn film_with(bench: &Bench, kernels: &str) -> Ended {
    let mut command = bench.generation(&[("--steps", "1")], &["--overwrite", "--json"]);
    command.env("WAN_CACHE", bench.path("cache")).env("WAN_KERNELS", kernels);
    Ended::of(command).good()
}

fn film(bench: &Bench) -> Ended {
    film_with(bench, "auto")
}

/// The only file of the cache.
fn record(bench: &Bench) -> PathBuf {
    let mut entries = fs::read_dir(bench.path("cache").join("kernels")).unwrap();
    let first = entries.next().unwrap().unwrap().path();
    assert!(entries.next().is_none(), "one file for one device, and nothing temporary");
    first
}

fn read(bench: &Bench) -> Value {
    serde_json::from_slice(&fs::read(record(bench)).unwrap()).unwrap()
}

/// Changes what the cache says.
fn edit(bench: &Bench, change: impl FnOnce(&mut Value)) {
    let mut value = read(bench);
    change(&mut value);
    fs::write(record(bench), value.to_string()).unwrap();
}

#[test]
fn every_device_is_sound_and_says_so_in_json() {
    let bench = Bench::new();
    let found: Value = serde_json::from_str(&bench.wan(&["devices", "--json"]).good().stdout).unwrap();
    let adapters = found["devices"].as_array().unwrap().iter();
    let adapters =
        adapters.filter(|d| d["device"].as_str().is_some_and(|name| name.starts_with("wgpu:"))).count();
    let ended = wan(&bench, &["doctor", "--device", "all", "--short", "--json"]).good();
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((&report["passed"], &report["depth"]), (&json!(true), &json!("short")), "{report}");
    let devices = report["devices"].as_array().unwrap();
    assert_eq!(devices.len(), 1 + adapters);
    assert_eq!(devices[0]["device"], "cpu");
    for device in devices {
        let checks = device["checks"].as_array().unwrap();
        let named = |name: &str| checks.iter().any(|check| check["operation"] == name);
        assert!(named("attention") && named("gelu_bias") && named("guidance_step"), "{device}");
        for check in checks {
            assert_eq!((&check["verdict"], &check["road"]), (&json!("passed"), &json!("own")), "{check}");
            let error = check["relative_l2_error"].as_f64().unwrap();
            assert!(
                error <= check["allowed_error"].as_f64().unwrap() && check["seconds"].is_f64(),
                "{check}"
            );
        }
    }
    assert_eq!(fs::read_dir(bench.path("cache/kernels")).unwrap().count(), devices.len());
}

#[test]
fn people_get_a_line_for_each_check_and_a_last_one() {
    let bench = Bench::new();
    let ended = wan(&bench, &["doctor", "--device", "cpu", "--short"]).good();
    let lines: Vec<_> = ended.stdout.lines().collect();
    let passed = lines.iter().filter(|line| line.ends_with("  passed")).count();
    assert!(lines[0].starts_with("cpu (") && passed >= 10, "{}", ended.stdout);
    assert!(lines.last().unwrap().starts_with(&format!("cpu: all {passed} checks passed in ")), "{lines:?}");
    assert!(
        ended.stderr.contains(&format!("check 1/{passed} attention 1x2x37x70x128 f32")),
        "{}",
        ended.stderr
    );
    assert_eq!(read(&bench)["full"], false);
    // The verdict of a check by hand is as good as that of a first run.
    assert!(!film(&bench).stderr.contains(CHECKING));
}

#[test]
fn the_first_run_on_a_device_checks_it_and_later_ones_do_not() {
    let bench = Bench::new();
    let first = film(&bench);
    assert!(first.stderr.contains(CHECKING) && !first.stderr.contains("note:"), "{}", first.stderr);
    let report: Value = serde_json::from_str(&first.stdout).unwrap();
    assert!(report["seconds"]["check"].as_f64().unwrap() > 0.0);
    let kept = fs::read(record(&bench)).unwrap();
    let second = film(&bench);
    assert!(!second.stderr.contains(CHECKING), "{}", second.stderr);
    let report: Value = serde_json::from_str(&second.stdout).unwrap();
    assert!(report["seconds"]["check"].is_null() && report["fallbacks"] == json!([]), "{report}");
    assert_eq!(fs::read(record(&bench)).unwrap(), kept);
}

#[test]
fn a_kernel_that_failed_is_left_out_and_that_is_told_once() {
    let bench = Bench::new();
    film(&bench);
    let failed = json!([
        { "operation": "gelu_bias", "cause": "wrong by half" },
        { "operation": "of another version", "cause": "unknown" },
    ]);
    edit(&bench, |value| value["failed"] = failed);
    let ended = film(&bench);
    let note = "note: gelu_bias runs without its own kernel on cpu: wrong by half\n";
    assert_eq!(ended.stderr.matches("note:").count(), 1, "{}", ended.stderr);
    assert!(ended.stderr.contains(note) && !ended.stderr.contains(CHECKING), "{}", ended.stderr);
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(report["fallbacks"], json!([{ "operation": "gelu_bias", "cause": "wrong by half" }]));
    // Who settles by hand what runs is not told.
    assert!(!film_with(&bench, "custom").stderr.contains("note:"));
    assert!(!film_with(&bench, "reference").stderr.contains("note:"));
}

#[test]
fn a_device_whose_plain_operations_are_wrong_is_warned_of() {
    let bench = Bench::new();
    film(&bench);
    edit(&bench, |value| value["broken"] = json!([{ "operation": "attention", "cause": "far off" }]));
    let ended = film(&bench);
    assert!(
        ended
            .stderr
            .contains("warning: plain tensor operations are wrong on cpu, attention among them: far off")
    );
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(report["warnings"].as_array().unwrap().len(), 1, "{report}");
}

#[test]
fn a_cache_that_says_nothing_useful_is_replaced() {
    let bench = Bench::new();
    film(&bench);
    let good = read(&bench);
    let stale = |key: &str, old: Value| {
        let mut value = good.clone();
        value["identity"][key] = old;
        value["failed"] = json!([{ "operation": "attention", "cause": "outdated" }]);
        value.to_string()
    };
    let contents = [
        "".to_owned(),
        "{".to_owned(),
        "\u{0}".repeat(1 << 20),
        "{}".to_owned(),
        stale("version", json!("0.0.1")),
        stale("revision", json!(0)),
        stale("driver", json!("an older one")),
    ];
    for content in contents {
        fs::write(record(&bench), &content).unwrap();
        let ended = film(&bench);
        assert!(ended.stderr.contains(CHECKING) && !ended.stderr.contains("note:"), "{}", ended.stderr);
        assert_eq!(read(&bench), good);
    }
}

#[test]
fn without_a_cache_or_kernels_of_its_own_a_run_goes_on() {
    let bench = Bench::new();
    assert!(!film_with(&bench, "reference").stderr.contains(CHECKING));
    assert!(!bench.path("cache").exists());
    // A file where the folder should be: nothing can be written, and each run checks.
    fs::write(bench.path("cache"), "").unwrap();
    for _ in 0..2 {
        assert!(film(&bench).stderr.contains(CHECKING));
    }
    assert_eq!(fs::read(bench.path("cache")).unwrap(), b"");
}

#[test]
fn devices_that_are_not_there_are_refused() {
    let bench = Bench::new();
    wan(&bench, &["doctor", "--device", "wgpu:99"]).refused("no adapter for wgpu:99", "wan devices");
    wan(&bench, &["doctor", "--device", "cuda"]).refused("--device", "");
}
