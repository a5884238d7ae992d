//! The clock behind the model's spans: it waits for the device at the ends of each.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use burn::prelude::*;
use tracing::{
    Event, Metadata, Subscriber,
    span::{Attributes, Id, Record},
};

/// Of the spans that count.
const TARGET: &str = "wan_model";

/// One part of a pass.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Span {
    pub name: &'static str,
    /// The spans it lies in, the outermost first.
    pub around: Vec<&'static str>,
    pub seconds: f64,
}

impl Span {
    /// The outermost span around it, one called `transparent` apart.
    pub fn of(&self, transparent: &str) -> Option<&'static str> {
        self.around.iter().copied().find(|name| *name != transparent)
    }
}

/// Records the spans of one thread's work.
#[derive(Clone)]
pub(super) struct Recorder(Arc<Shared>);

struct Shared {
    device: Device,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By identifier, from 1.
    names: Vec<&'static str>,
    open: Vec<(&'static str, Instant)>,
    done: Vec<Span>,
}

impl Recorder {
    pub fn new(device: &Device) -> Self {
        Self(Arc::new(Shared { device: device.clone(), state: Mutex::default() }))
    }

    /// Those that ended, in the order of their ends.
    pub fn spans(&self) -> Vec<Span> {
        std::mem::take(&mut self.state().done)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self) {
        // A device that failed says so where the pass ends.
        let _ = self.0.device.sync();
    }
}

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.target().starts_with(TARGET)
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut state = self.state();
        state.names.push(span.metadata().name());
        Id::from_u64(state.names.len() as u64)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, id: &Id) {
        self.wait();
        let mut state = self.state();
        let name = state.names.get(id.into_u64() as usize - 1).copied().unwrap_or_default();
        state.open.push((name, Instant::now()));
    }

    fn exit(&self, _: &Id) {
        self.wait();
        let mut state = self.state();
        let Some((name, start)) = state.open.pop() else { return };
        let around = state.open.iter().map(|(name, _)| *name).collect();
        state.done.push(Span { name, around, seconds: start.elapsed().as_secs_f64() });
    }
}
