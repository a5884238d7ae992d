//! The generate command around a stand-in engine.
#![allow(clippy::unwrap_used)]

use std::{fs, path::Path};

use image::RgbImage;
use tempfile::TempDir;
use wan_cli::{
    CancelToken, Kind,
    args::InlineChoice,
    commands::generate::{Job, run_with},
    devices::Target,
    engine::{EngineError, Event, Phase, Plan, Request, Trust},
    media::Output,
    settings::{DtypeChoice, Settings},
};

const FRAMES: usize = 5;

fn job(path: &Path) -> Job {
    let settings = Settings { seed: Some(7), dtype: Some(DtypeChoice::F32), ..Settings::default() };
    let request =
        Request { settings, device: Target::Cpu, dump: None, trust: Trust::default(), preview: None };
    Job {
        request,
        output: Output::parse(path).unwrap(),
        overwrite: false,
        given: None,
        from: None,
        inline: InlineChoice::None,
    }
}

fn plan() -> Plan {
    Plan {
        width: 32,
        height: 16,
        frames: FRAMES,
        fps: 16,
        steps: 2,
        tokens: 4,
        device: "cpu".to_owned(),
        dtype: "f32".to_owned(),
        quant: None,
        planned_bytes: 1,
    }
}

fn failure(interrupted: bool) -> EngineError {
    EngineError { message: "stopped".to_owned(), hint: None, usage: false, interrupted }
}

fn complete(_: &Request, _: &CancelToken, events: &mut dyn FnMut(Event)) -> Result<(), EngineError> {
    events(Event::Plan(plan()));
    events(Event::PhaseStarted(Phase::Load));
    events(Event::PhaseFinished { phase: Phase::Load, seconds: 0.25 });
    events(Event::PhaseStarted(Phase::Denoise));
    (0..2).for_each(|index| events(Event::Step { index, total: 2, seconds: 0.5 }));
    events(Event::PhaseFinished { phase: Phase::Denoise, seconds: 1.0 });
    events(Event::PhaseStarted(Phase::Decode));
    events(Event::Frames(vec![RgbImage::new(32, 16)]));
    events(Event::Frames(vec![RgbImage::new(32, 16); FRAMES - 1]));
    events(Event::PhaseFinished { phase: Phase::Decode, seconds: 100.0 });
    Ok(())
}

fn interrupted(_: &Request, cancel: &CancelToken, events: &mut dyn FnMut(Event)) -> Result<(), EngineError> {
    events(Event::Plan(plan()));
    events(Event::Frames(vec![RgbImage::new(32, 16)]));
    cancel.cancel();
    Err(failure(true))
}

fn broken(_: &Request, _: &CancelToken, events: &mut dyn FnMut(Event)) -> Result<(), EngineError> {
    events(Event::Plan(plan()));
    Err(failure(false))
}

/// Hands out a frame of the wrong size and honours the token.
fn wrong_size(_: &Request, cancel: &CancelToken, events: &mut dyn FnMut(Event)) -> Result<(), EngineError> {
    events(Event::Plan(plan()));
    events(Event::Frames(vec![RgbImage::new(8, 8)]));
    assert!(cancel.is_cancelled(), "a failed write stops the engine");
    Err(failure(true))
}

#[test]
fn a_run_leaves_one_file_and_reports_it() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("film.mp4");
    let report = run_with(&job(&path), true, &CancelToken::default(), &mut complete).unwrap();
    assert!(path.is_file());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let report = serde_json::to_value(&report).unwrap();
    assert_eq!(report["output"], path.display().to_string());
    assert_eq!(report["step_seconds"], serde_json::json!([0.5, 0.5]));
    assert_eq!((&report["seed"], &report["frames"], &report["fps"]), (&7.into(), &5.into(), &16.into()));
    let seconds = |phase: &str| report["seconds"][phase].as_f64().unwrap();
    assert_eq!((seconds("load"), seconds("denoise")), (0.25, 1.0));
    assert!((seconds("decode") + seconds("encode") - 100.0).abs() < 1e-9, "writing is not counted twice");
    assert!(seconds("total") > 0.0);
    #[cfg(unix)]
    assert!(report["peak_memory_bytes"].as_u64().unwrap() > 1 << 20);
}

#[test]
fn an_early_end_leaves_nothing() {
    type StandIn = fn(&Request, &CancelToken, &mut dyn FnMut(Event)) -> Result<(), EngineError>;
    type Case = (StandIn, Kind, &'static str);
    let cases: [Case; 3] = [
        (interrupted, Kind::Interrupted, "stopped"),
        (broken, Kind::Failed, "stopped"),
        (wrong_size, Kind::Failed, "8x8"),
    ];
    for name in ["film.mp4", "film.gif", "film.webp", "film_%d.png"] {
        for (engine, kind, message) in cases {
            let folder = TempDir::new().unwrap();
            let job = job(&folder.path().join(name));
            let failure = run_with(&job, true, &CancelToken::default(), &mut { engine }).unwrap_err();
            assert_eq!(failure.kind, kind);
            assert!(failure.message.contains(message), "{failure}");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{name}");
        }
    }
}
