//! Faults of every kind, each stopped where it shows and by its name; and runs without any, which go through.
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
};

use burn::{prelude::*, tensor::FloatDType};
use safetensors::SafeTensors;
use support::{open, request, tiny};
use tempfile::TempDir;
use testkit::Golden;
use wan_import::{Checkpoint, Source};
use wan_pipeline::{
    CancelToken, Diagnosis, Engine, Event, GenerateRequest, Health, HealthCheck, Pause, PipelineError,
    Placement, Step, StepStatistics, Subject, generate,
};

const DIT: &str = "transformer/diffusion_pytorch_model.safetensors";
const VAE: &str = "vae/diffusion_pytorch_model.safetensors";

/// A copy of a checkpoint's folder with faults in it.
struct Faulty(TempDir);

impl Faulty {
    fn new(model: &Path) -> Self {
        let folder = TempDir::new().unwrap();
        copy_all(model, folder.path());
        Self(folder)
    }

    /// Replaces every value of an f32 tensor.
    fn with(self, file: &str, key: &str, value: impl Fn(f32) -> f32) -> Self {
        let path = self.0.path().join(file);
        let mut bytes = fs::read(&path).unwrap();
        let data = SafeTensors::deserialize(&bytes).unwrap().tensor(key).unwrap().data().as_ptr_range();
        let [start, end] = [data.start, data.end].map(|at| at as usize - bytes.as_ptr() as usize);
        for four in bytes[start..end].as_chunks_mut::<4>().0 {
            *four = value(f32::from_le_bytes(*four)).to_le_bytes();
        }
        fs::write(path, bytes).unwrap();
        self
    }

    fn open(&self) -> Checkpoint {
        open(self.0.path())
    }
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target: PathBuf = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_all(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// What became of a run.
struct Outcome {
    result: Result<(), PipelineError>,
    steps: usize,
    chunks: usize,
    warned: Vec<Diagnosis>,
    /// The step of the last state that can be kept.
    kept: Option<usize>,
}

impl Outcome {
    fn diagnosis(&self) -> &Diagnosis {
        match &self.result {
            Err(PipelineError::Unwell(diagnosis)) => diagnosis,
            other => panic!("{other:?}"),
        }
    }
}

fn run(
    checkpoint: &Checkpoint,
    request: &GenerateRequest,
    dtype: FloatDType,
    health: HealthCheck,
) -> Outcome {
    let plan = request.plan(checkpoint).expect("a good request");
    let mut outcome = Outcome { result: Ok(()), steps: 0, chunks: 0, warned: Vec::new(), kept: None };
    let mut observer = |event: Event<'_>| {
        match event {
            Event::Step { .. } => outcome.steps += 1,
            Event::Frames(_) => outcome.chunks += 1,
            Event::Unwell(diagnosis) => outcome.warned.push(diagnosis.clone()),
            Event::Pause { pause: Pause::Denoise(state), .. } => {
                let kept = state.snapshot();
                let finite = |data: &TensorData| data.iter::<f32>().all(|value| value.is_finite());
                assert!(kept.tensors.values().all(finite), "a state that is not good");
                outcome.kept = Some(state.step());
            }
            _ => {}
        }
        Ok(())
    };
    let plain = Engine::new(Device::flex(), CancelToken::default(), &mut observer);
    let placement = Placement { dtype, ..Placement::default() };
    let mut engine = Engine { placement, health, ..plain };
    outcome.result = generate(checkpoint, &plan, &mut engine);
    outcome
}

fn stopped(faulty: &Faulty, dtype: FloatDType) -> Outcome {
    let request = request(&Golden::load("pipeline"));
    run(&faulty.open(), &request, dtype, HealthCheck::Stop)
}

fn assert_first_step(outcome: &Outcome, health: Health, subject: Subject, advice: &str) {
    let found = outcome.diagnosis();
    assert_eq!((found.health, found.subject, found.step), (health, subject, 1), "{found}");
    assert!(found.advice().contains(advice), "{}", found.advice());
    assert_eq!((outcome.steps, outcome.kept), (0, Some(0)));
}

/// Values of attention, which are held in the products' dtype, of some hundred thousands.
#[test]
fn an_activation_beyond_f16_is_told_from_a_damaged_file() {
    let faulty = Faulty::new(&tiny("diffusers")).with(DIT, "blocks.0.attn1.to_v.weight", |w| w * 1e4).with(
        DIT,
        "blocks.0.scale_shift_table",
        |w| w * 1e2,
    );
    let outcome = stopped(&faulty, FloatDType::F16);
    assert_first_step(&outcome, Health::NonFinite, Subject::Output, "--dtype f32");
    let in_f32 = stopped(&faulty, FloatDType::F32);
    assert!(in_f32.result.is_ok(), "{:?}", in_f32.result);
}

#[test]
fn overflow_in_f32_points_at_kernels_and_weights() {
    let faulty = Faulty::new(&tiny("diffusers")).with(DIT, "blocks.0.ffn.net.2.weight", |w| w * 1e38);
    let outcome = stopped(&faulty, FloatDType::F32);
    assert_first_step(&outcome, Health::NonFinite, Subject::Output, "WAN_KERNELS=reference");
}

#[test]
fn an_output_without_anything_in_it_is_flat() {
    let zeros = Faulty::new(&tiny("diffusers")).with(DIT, "proj_out.weight", |_| 0.0);
    assert_first_step(
        &stopped(&zeros, FloatDType::F32),
        Health::Flat,
        Subject::Output,
        "weights that are zero",
    );
    let one_value = zeros.with(DIT, "proj_out.bias", |_| 0.7);
    assert_first_step(
        &stopped(&one_value, FloatDType::F32),
        Health::Flat,
        Subject::Output,
        "weights that are zero",
    );
}

#[test]
fn an_output_out_of_scale_explodes() {
    let faulty = Faulty::new(&tiny("diffusers")).with(DIT, "proj_out.weight", |w| w * 500.0);
    assert_first_step(&stopped(&faulty, FloatDType::F32), Health::Exploding, Subject::Output, "guidance");
}

/// The second transformer is at fault, so that the run is good up to the step at which it takes over.
#[test]
fn a_fault_late_in_the_run_leaves_the_state_before_it() {
    let shared = tiny("diffusers");
    let faulty = Faulty::new(&Golden::path("tiny_tasks").join("t2v_a14b")).with(
        &DIT.replace("transformer/", "transformer_2/"),
        "proj_out.weight",
        |w| w * 1e38,
    );
    let source = Source {
        model: Some(faulty.0.path().to_owned()),
        vae: Some(shared.join("vae")),
        text_encoder: Some(shared.join("text_encoder")),
        tokenizer: Some(shared.join("tokenizer")),
        ..Source::default()
    };
    let checkpoint = Checkpoint::open(&source).unwrap();
    let request = GenerateRequest { boundary: Some(0.9), ..request(&Golden::load("pipeline")) };
    let first = request.plan(&checkpoint).unwrap().stages()[0].steps.len();
    let outcome = run(&checkpoint, &request, FloatDType::F32, HealthCheck::Stop);
    let found = outcome.diagnosis();
    assert_eq!((found.health, found.step, found.total), (Health::NonFinite, first + 1, 6), "{found}");
    assert_eq!((outcome.steps, outcome.kept), (first, Some(first)));
    assert!(first > 0 && first < 6);
}

#[test]
fn frames_that_show_nothing_stop_at_the_first() {
    let vae = |weight: f32, bias: f32| {
        Faulty::new(&tiny("diffusers")).with(VAE, "decoder.conv_out.weight", |_| weight).with(
            VAE,
            "decoder.conv_out.bias",
            |_| bias,
        )
    };
    let broken = Faulty::new(&tiny("diffusers")).with(VAE, "decoder.conv_in.weight", |w| w * 1e38);
    for (faulty, health, evidence) in [
        (vae(0.0, -1.0), Health::Flat, "black"),
        (vae(0.0, -3.0), Health::Flat, "black"),
        (vae(0.0, 0.25), Health::Flat, "one colour"),
        (broken, Health::NonFinite, "not finite"),
    ] {
        let outcome = stopped(&faulty, FloatDType::F32);
        let found = outcome.diagnosis();
        assert_eq!((found.health, found.subject, found.step), (health, Subject::Frames, 1), "{found}");
        assert!(found.evidence.contains(evidence), "{found}");
        assert_eq!((outcome.steps, outcome.chunks, outcome.kept), (6, 0, Some(6)));
    }
}

#[test]
fn a_fault_can_be_told_and_passed_over() {
    let faulty = Faulty::new(&tiny("diffusers")).with(DIT, "proj_out.weight", |_| 0.0);
    let request = request(&Golden::load("pipeline"));
    let warned = run(&faulty.open(), &request, FloatDType::F32, HealthCheck::Warn);
    assert!(warned.result.is_ok() && warned.warned.len() == 6, "{:?}", warned.warned);
    let off = run(&faulty.open(), &request, FloatDType::F32, HealthCheck::Off);
    assert!(off.result.is_ok() && off.warned.is_empty());
}

/// A step from noise of rms 1 with a healthy output, changed by `change`.
fn step(next_sigma: f64, change: impl Fn(&mut Vec<f32>, &mut Vec<f32>)) -> Step {
    let shape = [1, 4, 3, 5, 7];
    let noise = |seed| wan_model::torch_randn(seed, 420);
    let (mut latents, mut flow) = (noise(1), noise(2));
    change(&mut latents, &mut flow);
    let tensor = |values: Vec<f32>| Tensor::<5>::from_data(TensorData::new(values, shape), &Device::flex());
    Step {
        index: 6,
        total: 9,
        sigma: 1.0,
        next_sigma,
        timestep: 900.0,
        latents: tensor(latents),
        flow: tensor(flow),
    }
}

#[test]
fn one_value_is_enough_to_be_not_finite() {
    let health = |step: &Step| {
        StepStatistics::of(step).health(step, 1.0).map(|(subject, health, _)| (subject, health))
    };
    assert_eq!(health(&step(0.9, |_, _| {})), None);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let flow = step(0.9, |_, flow| flow[419] = bad);
        assert_eq!(health(&flow), Some((Subject::Output, Health::NonFinite)));
        let latents = step(0.9, |latents, _| latents[0] = bad);
        assert_eq!(health(&latents), Some((Subject::Latents, Health::NonFinite)));
    }
}

#[test]
fn the_noise_level_says_how_large_latents_may_be() {
    let health = |sigma, scale: f32, noise| {
        let step = step(sigma, |latents, _| latents.iter_mut().for_each(|value| *value *= scale));
        StepStatistics::of(&step).health(&step, noise).map(|(subject, health, _)| (subject, health))
    };
    let (exploding, flat) =
        (Some((Subject::Latents, Health::Exploding)), Some((Subject::Latents, Health::Flat)));
    assert_eq!(health(0.98, 4.0, 1.0), exploding, "mostly noise");
    assert_eq!(health(0.98, 4.0, 4.0), None, "of larger noise");
    assert_eq!(health(0.1, 4.0, 1.0), None, "mostly data");
    assert_eq!(health(0.1, 60.0, 1.0), exploding);
    assert_eq!(health(0.5, 0.001, 1.0), flat);
}

/// The most and the least that any step of healthy runs showed.
#[cfg(feature = "demo")]
#[derive(Debug)]
struct Range {
    output: [f64; 2],
    output_spread: f64,
    latents: [f64; 2],
    latents_spread: f64,
    /// Of what the noise level allows.
    level: f64,
    saturated: f64,
}

/// Runs `prompts` on the demo model; all go through.
#[cfg(feature = "demo")]
fn healthy(prompts: &[String]) -> Range {
    let folder = TempDir::new().unwrap();
    wan_pipeline::demo::unpack(folder.path()).unwrap();
    let checkpoint = open(folder.path());
    let (inf, zero) = (f64::INFINITY, 0.0);
    let mut range = Range {
        output: [inf, zero],
        output_spread: inf,
        latents: [inf, zero],
        latents_spread: inf,
        level: zero,
        saturated: zero,
    };
    for (prompt, seed) in prompts.iter().zip(0..) {
        let request = GenerateRequest { prompt: prompt.clone(), seed, ..GenerateRequest::default() };
        let plan = request.plan(&checkpoint).unwrap();
        let mut observer = |event: Event<'_>| {
            match event {
                Event::Unwell(diagnosis) => panic!("{prompt}: {diagnosis}"),
                Event::Step { step, .. } => range.take(step),
                _ => {}
            }
            Ok(())
        };
        let mut engine = Engine::new(Device::flex(), CancelToken::default(), &mut observer);
        generate(&checkpoint, &plan, &mut engine).unwrap_or_else(|error| panic!("{prompt}: {error}"));
    }
    range
}

#[cfg(feature = "demo")]
impl Range {
    fn take(&mut self, step: &Step) {
        let StepStatistics { output, latents } = StepStatistics::of(step);
        let widened = |[low, high]: [f64; 2], value: f64| [low.min(value), high.max(value)];
        self.output = widened(self.output, output.rms);
        self.latents = widened(self.latents, latents.rms);
        self.output_spread = self.output_spread.min(output.spread);
        self.latents_spread = self.latents_spread.min(latents.spread);
        self.level = self.level.max(latents.rms / wan_pipeline::largest_rms(step.next_sigma, 1.0));
        self.saturated = self.saturated.max(latents.saturated);
    }
}

/// Healthy runs stay away from every bound: from the noise level by a factor of two, from others by more.
#[cfg(feature = "demo")]
#[test]
fn the_demo_models_prompts_are_far_from_every_bound() {
    let rows: Vec<serde_json::Value> =
        serde_json::from_str(include_str!("../../tools/demo/prompts.json")).unwrap();
    let prompts: Vec<_> = rows.iter().map(|row| row["prompt"].as_str().unwrap().to_owned()).collect();
    let count = std::env::var("WAN_HEALTH_PROMPTS").ok().and_then(|n| n.parse().ok()).unwrap_or(4);
    let range = healthy(&prompts[..count.min(prompts.len())]);
    let least = wan_pipeline::FLAT * 3.0;
    assert!(range.output_spread > least && range.latents_spread > least, "{range:?}");
    assert!(range.level < 0.6 && range.output[1] < 20.0 / 3.0, "{range:?}");
    assert_eq!(range.saturated, 0.0, "{range:?}");
    std::io::Write::write_all(&mut std::io::stderr(), format!("{range:?}\n").as_bytes()).unwrap();
}
