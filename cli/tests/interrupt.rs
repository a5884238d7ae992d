//! Real signals to this process.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::{
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use wan_cli::{CancelToken, interrupt};

static LEFT: AtomicBool = AtomicBool::new(false);

fn send(signal: &str) {
    let status = Command::new("kill").args([signal, &std::process::id().to_string()]).status().unwrap();
    assert!(status.success());
}

/// Whether `happened` becomes true within a generous time.
fn soon(happened: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    while !happened() && start.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(5));
    }
    happened()
}

#[test]
fn the_first_signal_cancels_and_the_second_leaves() {
    let token = CancelToken::default();
    interrupt::install(&token, || LEFT.store(true, Ordering::SeqCst)).unwrap();
    send("-INT");
    assert!(soon(|| token.is_cancelled()));
    assert!(!LEFT.load(Ordering::SeqCst));
    send("-TERM");
    assert!(soon(|| LEFT.load(Ordering::SeqCst)));
}
