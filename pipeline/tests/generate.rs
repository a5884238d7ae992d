//! Whole runs of a tiny checkpoint against diffusers.

mod support;

use burn::{prelude::*, tensor::FloatDType};
use support::{open, request, run, run_in, run_placed, tiny};
use testkit::{FRAMES_MEAN, Golden, TestDevice, Tolerance, devices, mean_difference, relative_l2};
use wan_model::Solver;
use wan_pipeline::{CancelToken, Engine, Event, GenerateRequest, Noise, PipelineError, Placement, generate};

#[test]
fn a_diffusers_folder_gives_the_latents_and_frames_of_diffusers() {
    let golden = Golden::load("pipeline");
    let checkpoint = open(&tiny("diffusers"));
    for TestDevice { name, device, .. } in &devices() {
        let film = run(&checkpoint, &request(&golden), device).expect("a good run");
        // diffusers pads the rows with zeros.
        let (rows, padding) = golden.get("context").1.split_at(film.context.len());
        assert!(padding.iter().all(|&v| v == 0.0));
        let context = relative_l2(&film.context, rows);

        assert!(context <= Tolerance::MODULE_GPU.0, "{name}: context {context:.2e}");
        for (index, latents) in film.steps.iter().enumerate() {
            let error = relative_l2(latents, golden.get(&format!("unipc.step_{index:03}")).1);
            assert!(error <= Tolerance::RUN.0, "{name}: step {index} {error:.2e}");
        }
        assert_eq!(film.steps.len(), 6);
        let frames = mean_difference(&film.frames, golden.get("unipc.frames").1);
        assert!(frames <= FRAMES_MEAN, "{name}: frames differ by {frames}");
    }
}

#[test]
fn every_solver_and_no_guidance_follow_diffusers() {
    let golden = Golden::load("pipeline");
    let checkpoint = open(&tiny("diffusers"));
    let cases = [
        ("unguided", Solver::UniPc, 5.0, 1.0),
        ("euler", Solver::Euler, 3.0, 4.0),
        ("dpm", Solver::DpmPp, 3.0, 4.0),
    ];
    for (name, solver, shift, guidance) in cases {
        let request = GenerateRequest {
            solver: Some(solver),
            shift: Some(shift),
            guidance: Some(guidance),
            ..request(&golden)
        };
        let film = run(&checkpoint, &request, &Device::flex()).expect("a good run");
        let error = relative_l2(&film.steps[5], golden.get(&format!("{name}.latents")).1);
        assert!(error <= Tolerance::RUN.0, "{name}: {error:.2e}");
    }
}

/// On the host they are read out of the mapped file in every pass, whose pages come and go.
#[test]
fn streamed_blocks_give_the_same_bits() {
    let golden = Golden::load("pipeline");
    let checkpoint = open(&tiny("diffusers"));
    for TestDevice { name, device, .. } in devices().iter().filter(|d| d.name != "ndarray") {
        let placed = |stream_blocks| {
            let placement = Placement { stream_blocks, ..Placement::default() };
            run_placed(placement, &checkpoint, &request(&golden), device).expect("a good run")
        };
        assert!(placed(true).steps == placed(false).steps, "{name}");
    }
}

#[test]
fn half_precision_stays_close() {
    let golden = Golden::load("pipeline");
    let checkpoint = open(&tiny("diffusers"));
    for device in devices().iter().filter(|d| d.name != "ndarray") {
        if !device.device.supports_dtype(FloatDType::F16) {
            testkit::report_skip(device.name, "no f16");
            continue;
        }
        let film =
            run_in(FloatDType::F16, &checkpoint, &request(&golden), &device.device).expect("a good run");
        let error = relative_l2(&film.steps[5], golden.get("unipc.latents").1);
        assert!(error <= Tolerance::MODULE_F16.0 && error > 0.0, "{}: {error:.2e}", device.name);
    }
}

#[test]
fn the_seed_decides_the_noise() {
    let golden = Golden::load("pipeline");
    let checkpoint = open(&tiny("diffusers"));
    let latents = |seed| {
        let request = GenerateRequest { seed, noise: None, steps: Some(2), ..request(&golden) };
        run(&checkpoint, &request, &Device::flex()).expect("a good run").steps.pop()
    };
    let (first, again, other) = (latents(7), latents(7), latents(8));
    assert!(first == again && first != other);
    // The goldens' noise is torch's own draw for seed 7.
    let given = GenerateRequest { steps: Some(2), ..request(&golden) };
    let given = run(&checkpoint, &given, &Device::flex()).expect("a good run").steps.pop();
    let error = relative_l2(&first.expect("two steps"), &given.expect("two steps"));
    assert!(error < 1e-5, "{error:.2e}");
}

#[test]
fn a_cancelled_run_stops_within_a_step() {
    let golden = Golden::load("pipeline");
    let checkpoint = open(&tiny("diffusers"));
    let plan = request(&golden).plan(&checkpoint).expect("a good request");
    let cancel = CancelToken::default();
    let (mut steps, stop) = (0, cancel.clone());
    let mut watch = |event: Event<'_>| {
        if let Event::Step { .. } = event {
            steps += 1;
            stop.cancel();
        }
        Ok(())
    };
    let mut engine = Engine::new(Device::flex(), cancel, &mut watch);
    let result = generate(&checkpoint, &plan, &mut engine);
    assert!(matches!(result, Err(PipelineError::Cancelled)), "{result:?}");
    assert_eq!(steps, 1);
}

#[test]
fn an_observer_that_fails_ends_the_run_with_its_error() {
    let golden = Golden::load("pipeline");
    let checkpoint = open(&tiny("diffusers"));
    let plan = request(&golden).plan(&checkpoint).expect("a good request");
    let mut watch = |event: Event<'_>| match event {
        Event::Frames(_) => Err("no space left".into()),
        _ => Ok(()),
    };
    let cancel = CancelToken::default();
    let mut engine = Engine::new(Device::flex(), cancel, &mut watch);
    let error = generate(&checkpoint, &plan, &mut engine).expect_err("the observer failed");
    assert_eq!(error.to_string(), "no space left");
}

#[test]
fn impossible_requests_are_refused_with_a_way_out() {
    let golden = Golden::load("pipeline");
    let checkpoint = open(&tiny("diffusers"));
    let good = || request(&golden);
    let noise = |shape: [usize; 4], value| {
        Some(Noise { shape: shape.to_vec(), values: vec![value; shape.iter().product()] })
    };
    let cases = [
        (GenerateRequest { frames: Some(80), ..good() }, "use 77 or 81"),
        (GenerateRequest { size: Some((50, 32)), ..good() }, "use 48x32"),
        (
            GenerateRequest { size: Some((16 * 1030, 16)), noise: None, frames: Some(1), ..good() },
            "use a smaller size",
        ),
        (GenerateRequest { noise: noise([16, 3, 4, 5], 0.5), ..good() }, "the shape is"),
    ];
    for (request, hint) in cases {
        let error = request.plan(&checkpoint).expect_err(hint);
        assert!(error.is_usage(), "{error}");
        assert!(error.hint().is_some_and(|found| found.starts_with(hint)), "{error}: {:?}", error.hint());
    }
    let refused = [
        GenerateRequest { steps: Some(0), ..good() },
        GenerateRequest { guidance: Some(f64::NAN), ..good() },
        GenerateRequest { shift: Some(-1.0), ..good() },
        GenerateRequest { noise: noise([16, 3, 4, 6], f32::NAN), ..good() },
    ];
    for request in refused {
        assert!(request.plan(&checkpoint).is_err_and(|error| error.is_usage()));
    }
}
