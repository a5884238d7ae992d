//! What killed runs leave, and who removes it.

use std::{fs, process::Command};

use serde_json::Value;

use crate::{
    bench::{Bench, Ended},
    interrupt::Running,
};

const TEMPORARY: &str = "temporary";
/// How names of what is unfinished begin.
const UNFINISHED: &str = ".wan-unfinished-";

/// A run that unpacks the built-in model and writes a video.
fn demo(bench: &Bench, folder: &str, steps: &str) -> Command {
    let output = format!("{folder}/x.mp4");
    let mut command =
        bench.command(&["generate", "--prompt", "a red ball", "--seed", "7", "--device", "cpu"]);
    command.args(["--steps", steps, "--overwrite", "--save-every", "1", "-o", &output]);
    command.env("TMPDIR", bench.path(TEMPORARY));
    command
}

/// Unfinished files and folders in these folders.
fn unfinished(bench: &Bench, folders: &[&str]) -> Vec<String> {
    let entries = folders.iter().flat_map(|folder| fs::read_dir(bench.path(folder)).unwrap());
    let names = entries.map(|entry| entry.unwrap().path().display().to_string());
    let mut names: Vec<_> = names.filter(|name| name.contains(UNFINISHED)).collect();
    names.sort();
    names
}

/// A run in the middle of its steps, and what it has not finished.
fn begun(bench: &Bench, folder: &str) -> (Running, Vec<String>) {
    let before = unfinished(bench, &[folder, TEMPORARY]);
    let mut running = Running::start(demo(bench, folder, "1000"));
    running.wait_for("step 2/1000");
    let mut there = unfinished(bench, &[folder, TEMPORARY]);
    there.retain(|name| !before.contains(name));
    assert!(there.len() >= 2, "the model and the video: {there:?}");
    (running, there)
}

#[test]
fn what_a_killed_run_left_goes_and_what_is_under_way_stays() {
    let bench = Bench::new();
    let folders = ["one", "two", TEMPORARY];
    folders.iter().for_each(|folder| fs::create_dir(bench.path(folder)).unwrap());
    let (killed, dead) = begun(&bench, "one");
    killed.kill();
    assert_eq!(unfinished(&bench, &folders), dead, "a killed process cannot clean up");

    let (alive, living) = begun(&bench, "two");
    // The model went with the next one; the video's folder has not been written to since.
    let left: Vec<_> = dead.iter().filter(|name| !name.contains(TEMPORARY)).cloned().collect();
    let sorted = |parts: [&[String]; 2]| {
        let mut all = parts.concat();
        all.sort();
        all
    };
    assert_eq!(unfinished(&bench, &folders), sorted([&left, &living]));
    Ended::of(demo(&bench, "one", "2")).good();
    assert_eq!(unfinished(&bench, &folders), living, "only what is under way");

    let prune = || {
        let mut command = bench.command(&["runs", "--json", "prune"]);
        command.env("TMPDIR", bench.path(TEMPORARY));
        let said: Value = serde_json::from_str(&Ended::of(command).good().stdout).unwrap();
        said["leftovers"].as_array().unwrap().clone()
    };
    assert!(prune().is_empty(), "nothing that is under way");
    assert_eq!(unfinished(&bench, &folders), living);
    alive.kill();
    let gone = prune();
    let mut paths: Vec<_> = gone.iter().map(|one| one["path"].as_str().unwrap().to_owned()).collect();
    paths.sort();
    assert_eq!(paths, living);
    assert!(gone.iter().any(|one| one["bytes"].as_u64().unwrap() > 10_000_000), "the model: {gone:?}");
    assert!(unfinished(&bench, &folders).is_empty());
}
