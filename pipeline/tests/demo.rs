//! What the built-in demo model draws: whether it is what was asked for.
//!
//! `WAN_DEMO_PROMPTS=all` takes every held-out prompt instead of the first twelve.
#![cfg(feature = "demo")]

mod support;

use std::sync::LazyLock;

use burn::prelude::*;
use serde_json::Value;
use support::{clip::Clip, open, run};
use tempfile::TempDir;
use testkit::devices;
use wan_import::Checkpoint;
use wan_pipeline::{GenerateRequest, demo};

const SIDE: usize = 96;
/// Prompts that the normal suite tries.
const FEW: usize = 12;
/// Part of the clips in which a property must be right; among six colours and eight directions chance gives a sixth
/// and an eighth.
const RIGHT: f64 = 0.9;
/// Mean distance of two clips of one seed on different devices: two of 255 levels.
const FRAMES_MEAN: f64 = 2.0 / 255.0;

/// The unpacked model, which must outlive its checkpoint.
struct Demo {
    checkpoint: Checkpoint,
    _folder: TempDir,
}

static DEMO: LazyLock<Demo> = LazyLock::new(|| {
    let folder = TempDir::new().expect("a temporary folder");
    demo::unpack(folder.path()).expect("an unpacked model");
    Demo { checkpoint: open(folder.path()), _folder: folder }
});

fn request(prompt: &str, seed: u64) -> GenerateRequest {
    GenerateRequest { prompt: prompt.to_owned(), seed, ..GenerateRequest::default() }
}

/// Frames of a request on the cpu.
fn draw(request: &GenerateRequest) -> Vec<f32> {
    run(&DEMO.checkpoint, request, &Device::flex()).expect("a good run").frames
}

fn look(frames: &[f32]) -> support::clip::Seen {
    Clip { values: frames, side: SIDE }.look()
}

fn mean_difference(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs())).sum::<f64>() / a.len() as f64
}

#[test]
fn clips_show_the_colour_and_the_direction_that_was_asked_for() {
    let all = std::env::var("WAN_DEMO_PROMPTS").is_ok_and(|v| v == "all");
    let prompts: Vec<Value> =
        serde_json::from_str(include_str!("../../tools/demo/prompts.json")).expect("a list of prompts");
    assert!(prompts.len() >= 40);
    let prompts = &prompts[..if all { prompts.len() } else { FEW }];
    let (mut colours, mut directions) = (0, 0);
    for (seed, row) in prompts.iter().enumerate() {
        let text = |key: &str| row[key].as_str().expect("a text").to_owned();
        let seen = look(&draw(&request(&text("prompt"), seed as u64)));
        colours += usize::from(seen.colour == Some(&text("colour")));
        directions += usize::from(seen.direction == Some(&text("direction")));
        if seen.colour != Some(&text("colour")) || seen.direction != Some(&text("direction")) {
            eprintln!("{}: {seen:?}", text("prompt"));
        }
    }
    let least = RIGHT * prompts.len() as f64;
    assert!(
        colours as f64 >= least && directions as f64 >= least,
        "of {} clips {colours} have the colour and {directions} the direction",
        prompts.len()
    );
}

#[test]
fn a_seed_gives_one_clip_and_another_seed_another() {
    let clip = |seed| draw(&GenerateRequest { steps: Some(8), ..request("a green star flies up", seed) });
    let (first, again, other) = (clip(1), clip(1), clip(2));
    assert!(first == again);
    assert!(mean_difference(&first, &other) > FRAMES_MEAN);
}

#[test]
fn every_device_draws_the_same_clip() {
    let request = GenerateRequest { steps: Some(4), ..request("a red ball rolls to the left", 3) };
    let reference = draw(&request);
    for device in devices().iter().filter(|d| d.name != "cpu") {
        let frames = run(&DEMO.checkpoint, &request, &device.device).expect("a good run").frames;
        let difference = mean_difference(&frames, &reference);
        assert!(difference <= FRAMES_MEAN, "{}: frames differ by {difference}", device.name);
    }
}
