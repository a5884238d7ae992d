//! `wan plan`: what a run will take, said before anything is loaded, and refused where it does not fit.

use serde_json::Value;

use crate::bench::{Bench, Ended, tiny};

/// A video that takes far more than the model's weights.
const LONG: [&str; 6] = ["--size", "480x320", "--frames", "81", "--vae-tiling", "off"];

fn model() -> String {
    tiny("diffusers").display().to_string()
}

fn plan(bench: &Bench, flags: &[&str]) -> Ended {
    let model = model();
    bench.wan(&[&["plan", "--model", &model, "--device", "cpu"], flags].concat())
}

fn report(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap()
}

#[test]
fn every_phase_has_its_bytes_and_the_peak_is_the_largest() {
    let bench = Bench::new();
    let report = report(&plan(&bench, &[&LONG[..], &["--json"]].concat()).good());
    let phases = report["phases"].as_array().unwrap();
    let names: Vec<_> = phases.iter().map(|phase| phase["phase"].as_str().unwrap()).collect();
    assert_eq!(names, ["text", "load", "denoise", "decode"]);
    let bytes = |value: &Value| value["host"].as_u64().unwrap() + value["mapped"].as_u64().unwrap();
    let together = |phase: &Value| phase["parts"].as_array().unwrap().iter().map(bytes).sum::<u64>();
    let most = phases.iter().map(together).max().unwrap();
    assert_eq!(report["peak"]["resident"].as_u64().unwrap(), most + bytes(&report["overhead"]));
    assert!(report["fits"] == true && report["ways"].as_array().unwrap().is_empty(), "{report}");
    assert!(bench.left().is_empty(), "{:?}", bench.left());
}

/// Of the built-in model, whose weights are few.
#[test]
#[cfg(all(target_os = "linux", feature = "demo"))]
fn a_whole_process_takes_what_was_planned() {
    let bench = Bench::new();
    let size = ["--size", "320x320", "--steps", "2", "--guidance", "1"];
    let flags =
        [&["generate", "--prompt", "a red ball", "--device", "cpu", "-o", "x.mp4", "--json"], &size[..]];
    let report = report(&bench.wan(&flags.concat()).good());
    let [planned, peak] =
        ["planned_memory_bytes", "peak_memory_bytes"].map(|name| report[name].as_f64().unwrap());
    assert!((planned / peak - 1.0).abs() < 0.1, "planned {planned}, taken {peak}");
}

#[test]
fn what_does_not_fit_is_refused_with_two_ways_that_do() {
    let bench = Bench::new();
    let limit = ["--memory-limit", "190MB"];
    let ended = plan(&bench, &[&LONG[..], &limit].concat());
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stdout.contains("it does not fit"), "{}", ended.stdout);
    let json = plan(&bench, &[&LONG[..], &limit, &["--json"]].concat());
    let ways: Vec<String> = serde_json::from_value(report(&json)["ways"].clone()).unwrap();
    assert_eq!(ways.len(), 2, "{ways:?}");
    for way in &ways {
        assert!(ended.stderr.contains(way.as_str()), "{way}: {}", ended.stderr);
        let way: Vec<&str> = way.split(' ').collect();
        // A shorter or smaller video replaces the flag before.
        let rest: Vec<&str> =
            LONG.chunks(2).filter(|flag| !way.contains(&flag[0])).flatten().copied().collect();
        assert!(plan(&bench, &[&way[..], &rest, &limit].concat()).code == Some(0), "{way:?}");
    }
    // The run itself is refused in the same words, and nothing is left.
    let flags =
        [("--size", "480x320"), ("--frames", "81"), ("--noise", crate::bench::ABSENT), ("--seed", "1")];
    let run = bench.generate(&flags, &[&limit[..], &LONG[4..]].concat());
    assert_eq!(run.code, Some(2));
    run.refused("are available", "it would fit with");
    assert!(bench.left().is_empty(), "{:?}", bench.left());
}

#[test]
fn the_user_may_insist() {
    let bench = Bench::new();
    bench.generate(&[], &["--memory-limit", "1MB"]).refused("of memory", "--memory-limit none");
    bench.generate(&[], &["--memory-limit", "none"]).good();
}

#[test]
fn a_dry_run_makes_nothing_and_says_the_same() {
    let bench = Bench::new();
    let dry =
        bench.generate(&[("--noise", crate::bench::ABSENT)], &["--dry-run", "--memory-limit", "2GB"]).good();
    assert!(bench.left().is_empty(), "{:?}", bench.left());
    let flags =
        ["--size", "48x32", "--frames", "9", "--steps", "6", "--guidance", "5", "--memory-limit", "2GB"];
    let plan = plan(&bench, &flags).good();
    // The prompt's length counts in the text encoder's phase alone.
    let tail =
        |text: &str| text.lines().skip_while(|line| !line.starts_with("load")).collect::<Vec<_>>().join("\n");
    assert_eq!(tail(&dry.stdout), tail(&plan.stdout));
}

#[test]
fn released_models_are_planned_without_their_files() {
    let bench = Bench::new();
    let plan =
        |flags: &[&str]| bench.wan(&[&["plan", "--device", "cpu", "--memory-limit", "24GB"], flags].concat());
    let whole = plan(&["--preset", "i2v-a14b"]);
    whole.refused_plan("--quant");
    let small = report(&plan(&["--preset", "i2v-a14b", "--quant", "nf4", "--json"]).good());
    let notes = small["notes"].to_string();
    assert!(notes.contains("an image of 832x480 is assumed"), "{notes}");
    let streamed = report(&plan(&["--preset", "lingbot-a14b", "--dtype", "bf16", "--json"]).good());
    assert_eq!(streamed["placement"]["offload"], "block", "{streamed}");
}

#[test]
fn tiles_are_taken_as_they_are_asked_for() {
    let bench = Bench::new();
    let tiled = report(&plan(&bench, &[&LONG[..4], &["--vae-tiling", "2x3", "--json"]].concat()).good());
    assert_eq!(tiled["placement"]["vae_tiling"], serde_json::json!([2, 3]));
    let flags = [("--size", "160x128"), ("--noise", crate::bench::ABSENT), ("--seed", "1"), ("--steps", "1")];
    bench.generate(&flags, &["--vae-tiling", "1x2"]).good();
    let wrong = bench.generate(&[("--vae-tiling", "2x")], &[]);
    assert!(wrong.code == Some(2) && wrong.stderr.contains("ROWSxCOLUMNS"), "{}", wrong.stderr);
}

impl Ended {
    /// Asserts exit code 2 after a plan on stdout, and a hint that holds `hint`.
    fn refused_plan(&self, hint: &str) {
        assert!(self.code == Some(2) && self.stdout.contains("it does not fit"), "{}", self.stderr);
        let hints = self.stderr.lines().filter(|line| line.starts_with("hint:"));
        assert!(hints.into_iter().any(|line| line.contains(hint)), "{}", self.stderr);
    }
}
