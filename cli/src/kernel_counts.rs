//! How many kernels this process compiled and tuned, counted from the lines that the GPU stack logs.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{Layer, filter::Targets, layer::Context, registry::LookupSpan};
use wan_kernels::compilations::{COMPILED, TUNED, log_compilations};

static KERNELS_COMPILED: AtomicU64 = AtomicU64::new(0);
static KERNELS_TUNED: AtomicU64 = AtomicU64::new(0);

/// Longest time in which the GPU stack's log is written after the work that it tells of.
const LAG: Duration = Duration::from_millis(20);

/// Kernels so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelCounts {
    pub compiled: u64,
    pub tuned: u64,
}

impl KernelCounts {
    /// Of this process so far.
    pub fn now() -> Self {
        // The log has a thread of its own.
        thread::sleep(LAG);
        let [compiled, tuned] =
            [&KERNELS_COMPILED, &KERNELS_TUNED].map(|count| count.load(Ordering::Relaxed));
        Self { compiled, tuned }
    }
}

/// Has the stack log what it compiles and tunes, and listens.
pub fn layer<S: Subscriber + for<'a> LookupSpan<'a>>() -> impl Layer<S> {
    log_compilations();
    let listener =
        |target: &str, count| Counter(count).with_filter(Targets::new().with_target(target, Level::INFO));
    listener(COMPILED, &KERNELS_COMPILED).and_then(listener(TUNED, &KERNELS_TUNED))
}

/// Counts the events it is shown.
struct Counter(&'static AtomicU64);

impl<S: Subscriber> Layer<S> for Counter {
    fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
