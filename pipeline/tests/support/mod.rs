//! The tiny checkpoint, the goldens' request, and a run that keeps what it sees.
#![allow(dead_code)]

pub mod clip;

use std::path::{Path, PathBuf};

use burn::{prelude::*, tensor::FloatDType};
use testkit::Golden;
use wan_import::{Checkpoint, Source};
use wan_pipeline::{CancelToken, Engine, Event, GenerateRequest, Noise, PipelineError, Placement, generate};

/// `tests/goldens/tiny/<layout>`.
pub fn tiny(layout: &str) -> PathBuf {
    Golden::path("tiny").join(layout)
}

pub fn open(model: &Path) -> Checkpoint {
    Checkpoint::open(&Source { model: Some(model.to_owned()), ..Source::default() })
        .expect("a good checkpoint")
}

/// The request behind the golden runs.
pub fn request(golden: &Golden) -> GenerateRequest {
    let (shape, values) = golden.get("noise");
    GenerateRequest {
        prompt: golden.text("prompt").to_owned(),
        negative: Some(golden.text("negative").to_owned()),
        size: Some((48, 32)),
        frames: Some(9),
        steps: Some(6),
        guidance: Some(5.0),
        noise: Some(Noise { shape: shape.to_vec(), values: values.to_vec() }),
        ..GenerateRequest::default()
    }
}

/// A checkpoint of `tiny_tasks` with what it lacks from `tiny`.
pub fn task(name: &str) -> (Checkpoint, Golden) {
    let (model, shared) = (Golden::path("tiny_tasks").join(name), tiny("diffusers"));
    let own_vae = Some(model.join("vae")).filter(|vae| vae.is_dir());
    let source = Source {
        model: Some(model),
        vae: own_vae.or(Some(shared.join("vae"))),
        text_encoder: Some(shared.join("text_encoder")),
        tokenizer: Some(shared.join("tokenizer")),
        ..Source::default()
    };
    (Checkpoint::open(&source).expect("a good checkpoint"), Golden::load(&format!("tasks_{name}")))
}

pub fn task_request(golden: &Golden) -> GenerateRequest {
    let count = |key: &str| golden.text(key).parse::<usize>().expect("a number");
    let (shape, values) = golden.get("noise");
    GenerateRequest {
        prompt: golden.text("prompt").to_owned(),
        negative: Some(golden.text("negative").to_owned()),
        size: Some((count("width"), count("height"))),
        frames: Some(count("frames")),
        steps: Some(5),
        noise: Some(Noise { shape: shape.to_vec(), values: values.to_vec() }),
        ..GenerateRequest::default()
    }
}

/// What a run left behind, on the host.
#[derive(Default)]
pub struct Film {
    pub context: Vec<f32>,
    pub steps: Vec<Vec<f32>>,
    pub frames: Vec<f32>,
}

pub fn run(
    checkpoint: &Checkpoint,
    request: &GenerateRequest,
    device: &Device,
) -> Result<Film, PipelineError> {
    run_in(FloatDType::F32, checkpoint, request, device)
}

pub fn run_in(
    dtype: FloatDType,
    checkpoint: &Checkpoint,
    request: &GenerateRequest,
    device: &Device,
) -> Result<Film, PipelineError> {
    run_placed(Placement { dtype, ..Placement::default() }, checkpoint, request, device)
}

pub fn run_placed(
    placement: Placement,
    checkpoint: &Checkpoint,
    request: &GenerateRequest,
    device: &Device,
) -> Result<Film, PipelineError> {
    let mut film = Film::default();
    let mut watch = |event: Event<'_>| {
        match event {
            Event::Text { context, .. } => film.context = context.to_vec(),
            Event::Step { step, .. } => film.steps.push(step.latents.to_data().try_into_vec().expect("f32")),
            Event::Frames(chunk) => film.frames.extend(chunk.values),
            Event::Started(_) | Event::Finished { .. } | Event::Loaded { .. } | Event::Encoded { .. } => {}
            Event::Pause { .. } | Event::Unwell(_) => {}
        }
        Ok(())
    };
    let plan = request.plan(checkpoint)?;
    let cancel = CancelToken::default();
    let mut engine = Engine { placement, ..Engine::new(device.clone(), cancel, &mut watch) };
    generate(checkpoint, &plan, &mut engine)?;
    Ok(film)
}
