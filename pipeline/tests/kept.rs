//! What stays loaded between runs changes nothing but the time they take.

mod support;

use burn::prelude::*;
use support::{open, request, tiny};
use testkit::Golden;
use wan_import::Checkpoint;
use wan_pipeline::{CancelToken, Engine, Event, GenerateRequest, Kept, Phase, generate};

/// Steps and frames of a run, and what it loaded.
#[derive(Default)]
struct Seen {
    steps: Vec<Vec<f32>>,
    frames: Vec<f32>,
    loads: usize,
    text_layers: usize,
}

fn run(checkpoint: &Checkpoint, request: &GenerateRequest, kept: &mut Option<Kept>) -> Seen {
    let (mut seen, mut text) = (Seen::default(), false);
    let mut watch = |event: Event<'_>| {
        match event {
            Event::Started(phase) => text = phase == Phase::Text,
            Event::Encoded { .. } if text => seen.text_layers += 1,
            Event::Loaded { .. } => seen.loads += 1,
            Event::Step { step, .. } => seen.steps.push(step.latents.to_data().try_into_vec().expect("f32")),
            Event::Frames(chunk) => seen.frames.extend(chunk.values),
            _ => {}
        }
        Ok(())
    };
    let plan = request.plan(checkpoint).expect("a good request");
    let mut engine = Engine::new(Device::flex(), CancelToken::default(), &mut watch);
    engine.kept = kept.take();
    generate(checkpoint, &plan, &mut engine).expect("a good run");
    *kept = engine.kept.take();
    seen
}

/// The goldens' request, and the same one for another prompt.
fn requests() -> [GenerateRequest; 2] {
    let request = request(&Golden::load("pipeline"));
    let other = GenerateRequest { prompt: "another prompt".to_owned(), steps: Some(2), ..request.clone() };
    [request, other]
}

#[test]
fn later_runs_load_nothing_and_have_the_same_bits() {
    for (beside_decoder, loads) in [(true, 0), (false, 1)] {
        let (checkpoint, requests) = (open(&tiny("diffusers")), requests());
        let layers = checkpoint.text_config.layers;
        let alone = requests.each_ref().map(|request| run(&checkpoint, request, &mut None));
        let ahead = vec![requests[1].prompt.clone()];
        let mut empty = Kept::default();
        (empty.ahead, empty.beside_decoder) = (ahead, beside_decoder);
        let mut kept = Some(empty);
        let together = requests.each_ref().map(|request| run(&checkpoint, request, &mut kept));
        for (alone, together) in alone.iter().zip(&together) {
            assert!(alone.steps == together.steps && alone.frames == together.frames);
            assert_eq!((alone.loads, alone.text_layers), (1, layers));
        }
        assert_eq!((together[0].loads, together[0].text_layers), (1, layers));
        assert_eq!((together[1].loads, together[1].text_layers), (loads, 0));
    }
}

#[test]
fn a_prompt_that_was_not_ahead_is_encoded_in_its_turn() {
    let (checkpoint, [first, second]) = (open(&tiny("diffusers")), requests());
    let mut kept = Some(Kept::default());
    run(&checkpoint, &first, &mut kept);
    let alone = run(&checkpoint, &second, &mut None);
    let after = run(&checkpoint, &second, &mut kept);
    assert_eq!(after.text_layers, checkpoint.text_config.layers);
    assert!(alone.frames == after.frames);
}
