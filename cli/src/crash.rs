//! Panics as failures: one `error:` line and a clean end instead of a trace on the terminal.

use std::{
    any::Any,
    panic::{self, AssertUnwindSafe},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{Failure, Kind};

/// What the first panic since the last [`guard`] said. A fault on a thread of the GPU stack reaches the caller as a
/// second panic, which does not know the reason.
static FIRST: Mutex<Option<String>> = Mutex::new(None);

fn first() -> MutexGuard<'static, Option<String>> {
    FIRST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Most characters of a panic's message that are shown.
const MAX_CHARACTERS: usize = 300;
/// Most lines of it; a backtrace may follow.
const MAX_LINES: usize = 3;

/// How drivers and the GPU stack word a lack of memory.
const MEMORY: [&str; 4] = ["out of memory", "out-of-memory", "out of device memory", "can't allocate"];

/// Keeps panics off the terminal: [`guard`] reports those that end the command, and whoever catches another one knows
/// what it means. `WAN_LOG=wan_cli=debug` shows all of them with their place in the code.
pub fn quiet_panics() {
    panic::set_hook(Box::new(|info| {
        let text = message(info.payload());
        first().get_or_insert_with(|| text.clone());
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        tracing::debug!("panic at {place}: {text}");
    }));
}

/// The result of `work`, or the panic that ended it. What `work` owns is dropped on the way, temporary files included.
pub fn guard<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    first().take();
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| Err(failure(&message(&*payload))))
}

fn failure(last: &str) -> Failure {
    let text = match &*first() {
        Some(cause) if cause != last => format!("{cause}; then {last}"),
        _ => last.to_owned(),
    };
    let lower = text.to_lowercase();
    let hint = match MEMORY.iter().any(|words| lower.contains(words)) {
        true => {
            "the device's memory is too small for this: use a smaller --size, fewer --frames or --device cpu"
        }
        false => "try --device cpu; WAN_LOG=wan_cli=debug shows where it happened, for a report",
    };
    Failure { kind: Kind::Failed, message: format!("internal error: {text}"), hint: Some(hint.to_owned()) }
}

/// What a panic was called with, on one line.
fn message(payload: &dyn Any) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message");
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).take(MAX_LINES).collect();
    lines.join(" ").chars().take(MAX_CHARACTERS).collect()
}
