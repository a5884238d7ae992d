//! What stays loaded between runs changes nothing but the time they take.

mod support;

use burn::{prelude::*, tensor::FloatDType};
use support::{open, request, task, task_request, tiny};
use testkit::Golden;
use wan_import::Checkpoint;
use wan_kernels::DeviceKind;
use wan_pipeline::{
    CancelToken, DeviceRoom, Engine, Event, GenerateRequest, Kept, Machine, Offload, Part, Phase, Question,
    Room, Stay, VaeTiling, Wish, generate,
};

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

#[test]
fn of_two_transformers_both_stay_where_there_is_room() {
    let (checkpoint, golden) = task("t2v_a14b");
    let first = GenerateRequest { boundary: Some(0.9), ..task_request(&golden) };
    let requests = [first.clone(), GenerateRequest { steps: Some(4), ..first.clone() }, first];
    let alone = requests.each_ref().map(|request| run(&checkpoint, request, &mut None));
    for (both, beside_decoder, loads) in
        [(true, true, [2, 0, 0]), (false, true, [2, 2, 2]), (true, false, [2, 2, 2])]
    {
        let mut empty = Kept::default();
        (empty.both, empty.beside_decoder) = (both, beside_decoder);
        let mut kept = Some(empty);
        let together = requests.each_ref().map(|request| run(&checkpoint, request, &mut kept));
        assert_eq!(together.each_ref().map(|seen| seen.loads), loads);
        for (alone, together) in alone.iter().zip(&together) {
            assert!(alone.steps == together.steps && alone.frames == together.frames);
        }
        let kept = kept.as_mut().expect("what is kept");
        assert_eq!((kept.holds_transformers(), kept.forget_networks()), (beside_decoder, true));
        assert!(!kept.holds_transformers());
    }
}

#[test]
fn what_stays_is_what_there_is_room_for() {
    let (checkpoint, golden) = task("t2v_a14b");
    let request = GenerateRequest { boundary: Some(0.9), ..task_request(&golden) };
    let wish = Wish {
        dtype: FloatDType::F32,
        quant: None,
        offload: Offload::None,
        vae_half: false,
        vae_tiling: VaeTiling::Off,
    };
    let machine = Machine { kind: DeviceKind::Cube, half: true, largest_tensor: u64::MAX, threads: 2 };
    let stay = |request: &GenerateRequest, device| {
        let room = Room { host: None, device };
        let question = Question { checkpoint: &checkpoint, request, wish, machine, room };
        let settled = question.settle().expect("a good request");
        (question.stay(&settled).expect("a good checkpoint"), settled.memory)
    };
    let (known, memory) = stay(&request, DeviceRoom::Unknown);
    assert_eq!(known, Stay { beside_decoder: true, both: true }, "what is not known is no limit");
    let denoise = memory.phases.iter().find(|phase| phase.phase == Phase::Denoise).expect("steps");
    let one = denoise.parts.iter().find(|part| part.part == Part::Weights).expect("weights").bytes.device;
    assert!(one > 100_000);
    // What is needed with `count` transformers of one size at hand, of which the phases that work with one hold it.
    let needed = |count: u64| {
        let phase = |phase: &wan_pipeline::PhaseBytes| {
            let held = u64::from(matches!(phase.phase, Phase::Load | Phase::Denoise));
            phase.total().device + (count - held) * one
        };
        memory.phases.iter().map(phase).max().expect("phases")
    };
    assert!(needed(2) > needed(1));
    // A tenth is left free.
    let with = |bytes: u64, part: f64| stay(&request, DeviceRoom::Own((bytes as f64 / 0.9 * part) as u64)).0;
    assert_eq!(with(needed(2), 1.001), Stay { beside_decoder: true, both: true });
    assert_eq!(with(needed(2), 0.999), Stay { beside_decoder: true, both: false });
    assert_eq!(with(needed(1), 1.001), Stay { beside_decoder: true, both: false });
    assert_eq!(with(needed(1), 0.999), Stay::default());
    let single = GenerateRequest { boundary: Some(0.0), ..request.clone() };
    let (stay, _) = stay(&single, DeviceRoom::Own(1 << 40));
    assert_eq!(stay, Stay { beside_decoder: true, both: false }, "a run with one transformer");
}
