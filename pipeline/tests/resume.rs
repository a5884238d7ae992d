//! Runs that are left and gone on from, against the same runs in one go: bit for bit.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;

use burn::{prelude::*, tensor::FloatDType};
use support::{open, request, task, task_request, tiny};
use testkit::{Golden, devices};
use wan_import::Checkpoint;
use wan_model::{Solver, image::Picture};
use wan_pipeline::{
    CancelToken, DecoderStart, Engine, Event, GenerateRequest, LayerCounts, Pause, PipelineError, Placement,
    Plan, Snapshot, Start, decoder_memory, generate, resume,
};

/// Everything a run told.
#[derive(Default)]
struct Told {
    context: Vec<f32>,
    steps: Vec<(usize, Vec<f32>)>,
    frames: Vec<Vec<f32>>,
    snapshots: BTreeMap<usize, Snapshot>,
    /// By the next latent frame.
    decoder: BTreeMap<usize, (LayerCounts, BTreeMap<String, TensorData>)>,
    /// Steps of those pauses after which something else begins, or nothing.
    last: Vec<usize>,
}

impl Told {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Text { context, .. } => self.context = context.to_vec(),
            Event::Step { step, .. } => {
                self.steps.push((step.index, step.latents.to_data().try_into_vec().unwrap()));
            }
            Event::Frames(chunk) => self.frames.push(chunk.values),
            Event::Pause { pause: Pause::Denoise(state), last } => {
                drop(self.snapshots.insert(state.step(), state.snapshot()));
                self.last.extend(last.then_some(state.step()));
            }
            Event::Pause { pause: Pause::Decode(stream), .. } => {
                let (counts, tensors) = decoder_memory(stream);
                // A copy, for what is read back may be the device's own memory.
                let copy = |tensor: Tensor<5>| {
                    let data = tensor.to_data();
                    TensorData::from_bytes_vec(data.as_bytes().to_vec(), data.shape().clone(), data.dtype())
                };
                let tensors = tensors.into_iter().map(|(name, tensor)| (name, copy(tensor)));
                self.decoder.insert(stream.frame(), (counts, tensors.collect()));
            }
            _ => {}
        }
    }

    fn start(&self, step: usize) -> Start {
        Start { snapshot: self.snapshots[&step].clone(), decoder: None }
    }

    fn start_of_frame(&self, frame: usize) -> Start {
        let (layers, mut tensors) = self.decoder[&frame].clone();
        let load = Box::new(move |name: &str| tensors.remove(name));
        let step = *self.snapshots.keys().last().unwrap();
        Start { decoder: Some(DecoderStart { frame, layers, load }), ..self.start(step) }
    }
}

struct Case {
    checkpoint: Checkpoint,
    plan: Plan,
    device: Device,
    dtype: FloatDType,
}

impl Case {
    fn new(checkpoint: Checkpoint, request: &GenerateRequest, device: &Device) -> Self {
        let plan = request.plan(&checkpoint).expect("a good request");
        Self { checkpoint, plan, device: device.clone(), dtype: FloatDType::F32 }
    }

    fn run(&self, start: Option<Start>) -> Told {
        let (told, result) = self.watch(start, &CancelToken::default(), |_| {});
        result.expect("a good run");
        told
    }

    fn watch(
        &self,
        start: Option<Start>,
        cancel: &CancelToken,
        look: impl Fn(&Event<'_>),
    ) -> (Told, Result<(), PipelineError>) {
        let mut told = Told::default();
        let mut observer = |event: Event<'_>| {
            look(&event);
            told.take(event);
            Ok(())
        };
        let plain = Engine::new(self.device.clone(), cancel.clone(), &mut observer);
        let placement = Placement { dtype: self.dtype, ..Placement::default() };
        let mut engine = Engine { placement, ..plain };
        let result = match start {
            None => generate(&self.checkpoint, &self.plan, &mut engine),
            Some(start) => resume(&self.checkpoint, &self.plan, start, &mut engine),
        };
        (told, result)
    }

    /// Goes on from every place where the run could have been left.
    fn check(&self, what: &str) {
        let whole = self.run(None);
        let (steps, frames) = (self.plan.schedule.steps(), self.plan.latent.frames);
        assert_eq!(whole.snapshots.keys().copied().collect::<Vec<_>>(), (0..=steps).collect::<Vec<_>>());
        assert_eq!(whole.last, [steps]);
        for step in 0..=steps {
            let rest = self.run(Some(whole.start(step)));
            assert!(rest.steps == whole.steps[step..], "{what}: latents differ after step {step}");
            assert!(rest.frames == whole.frames, "{what}: frames differ after step {step}");
            assert!(rest.context == whole.context, "{what}");
        }
        for frame in 1..=frames {
            let rest = self.run(Some(whole.start_of_frame(frame)));
            assert!(rest.steps.is_empty());
            assert!(rest.frames == whole.frames[frame..], "{what}: frames differ after latent frame {frame}");
        }
    }
}

#[test]
fn every_solver_goes_on_from_every_step_and_frame() {
    let golden = Golden::load("pipeline");
    for device in &devices() {
        for solver in [Solver::UniPc, Solver::DpmPp, Solver::Euler] {
            let request = GenerateRequest { solver: Some(solver), steps: Some(4), ..request(&golden) };
            let case = Case::new(open(&tiny("diffusers")), &request, &device.device);
            case.check(&format!("{solver:?} on {}", device.name));
        }
    }
}

#[test]
fn half_precision_and_runs_without_guidance_go_on() {
    let golden = Golden::load("pipeline");
    let request = GenerateRequest { guidance: Some(1.0), steps: Some(3), ..request(&golden) };
    let case = Case::new(open(&tiny("diffusers")), &request, &Device::flex());
    Case { dtype: FloatDType::F16, ..case }.check("f16");
}

#[test]
fn pictures_and_two_experts_go_on_without_being_encoded_again() {
    for name in ["i2v_clip", "ti2v", "i2v_a14b", "t2v_a14b"] {
        let (checkpoint, golden) = task(name);
        let picture = || {
            let (shape, values) = golden.get("picture");
            Picture::new(shape[0], shape[1], values.iter().map(|&value| value as u8).collect()).unwrap()
        };
        let two = name.ends_with("a14b");
        let request = GenerateRequest {
            image: (name != "t2v_a14b").then(picture),
            boundary: two.then_some(0.9),
            ..task_request(&golden)
        };
        let case = Case::new(checkpoint, &request, &Device::flex());
        assert_eq!(case.plan.stages().len(), if two { 2 } else { 1 });
        case.check(name);
    }
}

#[test]
fn a_cancelled_run_can_be_kept_as_it_is() {
    let golden = Golden::load("pipeline");
    let case = Case::new(open(&tiny("diffusers")), &request(&golden), &Device::flex());
    let whole = case.run(None);
    let cancel = CancelToken::default();
    let (left, result) = case.watch(None, &cancel, |event| {
        if let Event::Step { step, .. } = event
            && step.index == 2
        {
            cancel.cancel();
        }
    });
    assert!(matches!(result, Err(PipelineError::Cancelled)));
    assert_eq!(left.last, [3]);
    assert!(case.run(Some(left.start(3))).frames == whole.frames);

    let cancel = CancelToken::default();
    let (left, result) = case.watch(Some(whole.start(6)), &cancel, |event| {
        if let Event::Frames(_) = event {
            cancel.cancel();
        }
    });
    assert!(matches!(result, Err(PipelineError::Cancelled)));
    let frame = *left.decoder.keys().last().unwrap();
    assert_eq!((frame, left.frames.len()), (1, 1));
    assert!(case.run(Some(left.start_of_frame(frame))).frames == whole.frames[1..]);
}

#[test]
fn a_state_of_another_run_is_refused() {
    let golden = Golden::load("pipeline");
    let case = Case::new(open(&tiny("diffusers")), &request(&golden), &Device::flex());
    let whole = case.run(None);
    let refused = |change: &dyn Fn(&mut Snapshot), words: &str| {
        let mut start = whole.start(3);
        change(&mut start.snapshot);
        let (told, result) = case.watch(Some(start), &CancelToken::default(), |_| {});
        let error = result.expect_err(words);
        assert!(matches!(error, PipelineError::Snapshot(_)), "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(told.steps.is_empty());
    };
    let of =
        |shape: &[usize], value: f32| TensorData::new(vec![value; shape.iter().product()], shape.to_vec());
    refused(&|state| state.step = 1, "what the solver remembers");
    refused(&|state| state.step = 7, "what the solver remembers");
    refused(&|state| drop(state.tensors.remove("sampler.x0")), "what the solver remembers");
    refused(&|state| drop(state.tensors.remove("latents")), "latents is not that");
    refused(&|state| drop(state.tensors.remove("text.context_null")), "text.context_null");
    let latents = |data: TensorData| {
        move |state: &mut Snapshot| {
            state.tensors.insert("latents".into(), data.clone());
        }
    };
    refused(&latents(of(&[1, 16, 3, 4, 5], 0.0)), "has shape [1, 16, 3, 4, 5], not [1, 16, 3, 4, 6]");
    refused(&latents(of(&[16, 3, 4, 6], 0.0)), "has 4 dimensions");
    refused(&latents(of(&[1, 16, 3, 4, 6], f32::NAN)), "not finite");
}
