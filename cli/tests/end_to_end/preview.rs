//! Pictures of a video under way.
#![cfg(feature = "demo")]

use std::{fs, process::Stdio, thread, time::Duration};

use crate::bench::{Bench, Ended};

/// The last picture seen beside a film while it is made, and how the command ended.
fn watched(bench: &Bench, switches: &[&str]) -> (Option<image::RgbImage>, Ended) {
    let args = ["generate", "--prompt", "a red ball", "--seed", "1", "--device", "cpu", "-o", "a.mp4"];
    let mut command = bench.command(&[&args, switches].concat());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut seen = None;
    while child.try_wait().unwrap().is_none() {
        // A picture takes its name when it is whole.
        if let Ok(bytes) = fs::read(bench.path("a.mp4.preview.png")) {
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

#[test]
fn a_preview_is_there_while_the_film_is_made_and_then_gone() {
    let bench = Bench::new();
    let (seen, ended) = watched(&bench, &["--preview", "2"]);
    ended.good();
    // Three frames of 12x12 latents.
    assert_eq!(seen.expect("a picture").dimensions(), (3 * 192, 192));
    assert_eq!(bench.left(), ["a.mp4"]);
}

#[test]
fn a_tiny_decoder_that_is_none_is_told_and_the_film_made_without() {
    let bench = Bench::new();
    let (seen, ended) = watched(&bench, &["--preview", "2", "--tae", "noise.safetensors", "--steps", "4"]);
    let ended = ended.good();
    let told = ended.stderr.contains("warning: no previews: noise.safetensors");
    assert!(seen.is_none() && told, "{}", ended.stderr);
    bench
        .wan(&["generate", "--prompt", "a", "--tae", "noise.safetensors"])
        .refused("required arguments were not provided", "");
}
