//! Pictures of a video under way.
#![cfg(feature = "demo")]

use std::{fs, process::Stdio, thread, time::Duration};

use crate::bench::{Bench, Ended};

/// The last picture seen under a name while a command is at work, and how it ended.
fn watched(bench: &Bench, name: &str, args: &[&str]) -> (Option<image::RgbImage>, Ended) {
    let mut child = bench.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut seen = None;
    while child.try_wait().unwrap().is_none() {
        // A picture takes its name when it is whole.
        if let Ok(bytes) = fs::read(bench.path(name)) {
            seen = Some(image::load_from_memory(&bytes).unwrap().into_rgb8());
        }
        thread::sleep(Duration::from_millis(2));
    }
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let ended =
        Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) };
    (seen, ended)
}

fn generated(bench: &Bench, switches: &[&str]) -> (Option<image::RgbImage>, Ended) {
    let args = ["generate", "--prompt", "a red ball", "--seed", "1", "--device", "cpu", "-o", "a.mp4"];
    watched(bench, "a.mp4.preview.png", &[&args, switches].concat())
}

/// Three frames of 12x12 latents.
const STRIP: (u32, u32) = (3 * 192, 192);

#[test]
fn a_preview_is_there_while_the_film_is_made_and_then_gone() {
    let bench = Bench::new();
    let (seen, ended) = generated(&bench, &["--preview", "2"]);
    ended.good();
    assert_eq!(seen.expect("a picture").dimensions(), STRIP);
    assert_eq!(bench.left(), ["a.mp4"]);
}

#[test]
fn each_job_of_a_batch_has_its_preview() {
    let bench = Bench::new();
    let jobs = r#"{"name": "first", "prompt": "a red ball"}
{"name": "second", "prompt": "a blue star", "steps": 8}"#;
    fs::write(bench.path("jobs.jsonl"), jobs).unwrap();
    let args =
        ["batch", "jobs.jsonl", "-o", "clips", "--device", "cpu", "--preview", "2", "--inline", "sixel"];
    for name in ["first", "second"] {
        let (seen, ended) = watched(&bench, &format!("clips/{name}.mp4.preview.png"), &args);
        let ended = ended.good();
        assert_eq!(seen.expect(name).dimensions(), STRIP);
        assert!(!ended.stderr.contains('\x1b'), "nothing is drawn where there is no terminal");
        let left: Vec<_> =
            fs::read_dir(bench.path("clips")).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(left.len(), 2, "{left:?}");
        fs::remove_dir_all(bench.path("clips")).unwrap();
    }
    let refused = bench.wan(&["batch", "jobs.jsonl", "-o", "clips", "--inline", "sixel"]);
    refused.refused("required arguments were not provided", "");
}

#[cfg(unix)]
#[test]
fn a_run_that_goes_on_shows_previews_and_takes_away_what_was_left() {
    use crate::interrupt::Running;

    let bench = Bench::new();
    let args = ["generate", "--prompt", "a red ball", "--seed", "1", "--device", "cpu", "-o", "a.mp4"];
    for switches in [[].as_slice(), &["--preview", "1"]] {
        let mut run = Running::start(
            bench.command(&[&args, ["--preview", "1", "--save-every", "1"].as_slice()].concat()),
        );
        run.wait_for("step 3/");
        run.kill();
        assert!(bench.path("a.mp4.preview.png").exists());
        // As at the start, so that a picture that is seen is one that was made.
        if !switches.is_empty() {
            fs::remove_file(bench.path("a.mp4.preview.png")).unwrap();
        }
        let (seen, ended) = watched(&bench, "a.mp4.preview.png", &[["resume"].as_slice(), switches].concat());
        ended.good();
        assert_eq!(seen.expect("a picture").dimensions(), STRIP);
        assert!(!bench.path("a.mp4.preview.png").exists());
        fs::remove_file(bench.path("a.mp4")).unwrap();
    }
}

#[test]
fn a_tiny_decoder_that_is_none_is_told_and_the_film_made_without() {
    let bench = Bench::new();
    let (seen, ended) = generated(&bench, &["--preview", "2", "--tae", "noise.safetensors", "--steps", "4"]);
    let ended = ended.good();
    let told = ended.stderr.contains("warning: no previews: noise.safetensors");
    assert!(seen.is_none() && told, "{}", ended.stderr);
    bench
        .wan(&["generate", "--prompt", "a", "--tae", "noise.safetensors"])
        .refused("required arguments were not provided", "");
}
