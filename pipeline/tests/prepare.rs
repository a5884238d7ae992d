//! What comes before the first step, so that it takes as long as the others.
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use burn::prelude::*;
use support::{open, request, tiny};
use testkit::{Golden, devices, report_skip};
use tracing::Level;
use tracing_subscriber::{Layer, filter::Targets, layer::Context, prelude::*, registry::Registry};
use wan_kernels::compilations::{COMPILED, log_compilations};
use wan_model::Solver;
use wan_pipeline::{CancelToken, Engine, Event, GenerateRequest, Phase, generate};

static COMPILATIONS: AtomicUsize = AtomicUsize::new(0);

struct Counter;

impl Layer<Registry> for Counter {
    fn on_event(&self, _: &tracing::Event<'_>, _: Context<'_, Registry>) {
        COMPILATIONS.fetch_add(1, Ordering::Relaxed);
    }
}

/// Kernels compiled so far; their log has a thread of its own, which lags behind.
fn compiled() -> usize {
    thread::sleep(Duration::from_millis(100));
    COMPILATIONS.load(Ordering::Relaxed)
}

/// The phases of a run, with the kernels that were compiled in each.
fn phases(request: &GenerateRequest, device: &Device) -> Vec<(Phase, usize)> {
    let checkpoint = open(&tiny("diffusers"));
    let (mut phases, mut before) = (Vec::new(), 0);
    let mut watch = |event: Event<'_>| {
        match event {
            Event::Started(_) => before = compiled(),
            Event::Finished { phase, .. } => phases.push((phase, compiled() - before)),
            _ => {}
        }
        Ok(())
    };
    let plan = request.plan(&checkpoint).unwrap();
    generate(&checkpoint, &plan, &mut Engine::new(device.clone(), CancelToken::default(), &mut watch))
        .unwrap();
    phases
}

/// One test, as the count is the process's.
#[test]
fn steps_compile_nothing_and_what_they_share_comes_before() {
    log_compilations();
    let counter = Counter.with_filter(Targets::new().with_target(COMPILED, Level::INFO));
    tracing_subscriber::registry().with(counter).init();
    let golden = Golden::load("pipeline");
    let adapter = devices().into_iter().find(|device| device.gpu);
    let order = [Phase::Text, Phase::Load, Phase::Prepare, Phase::Denoise, Phase::Decode];
    // Each solver has kernels of its own, which are not those of a process that knows the others'.
    for solver in [Solver::UniPc, Solver::DpmPp, Solver::Euler] {
        let request = GenerateRequest { solver: Some(solver), ..request(&golden) };
        let found = phases(&request, &Device::flex());
        assert_eq!(found, order.map(|phase| (phase, 0)), "the host");
        let Some(adapter) = &adapter else {
            report_skip("wgpu", "no adapter");
            continue;
        };
        let found = phases(&request, &adapter.device);
        assert_eq!(found.iter().map(|(phase, _)| *phase).collect::<Vec<_>>(), order);
        assert_eq!(found[3], (Phase::Denoise, 0), "{solver:?}: {found:?}");
        assert!(solver != Solver::UniPc || found[2].1 > 10, "{found:?}");
    }
}
