//! Entry point of the `wan` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    wan_cli::run(std::env::args_os(), leave)
}

/// Ends the process at once with the exit code of an interruption.
#[allow(clippy::exit, reason = "a second Ctrl-C must not wait for the engine to reach its next check")]
fn leave() {
    std::process::exit(130)
}
