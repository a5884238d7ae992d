//! The `wan` command: arguments, progress, reports and media files around the engine.

pub mod args;
pub mod commands;
mod config;
pub mod crash;
pub mod devices;
mod drawing;
pub mod engine;
mod failure;
pub mod foreign;
pub mod interrupt;
mod kernel_counts;
mod machine;
pub mod media;
mod memory;
pub mod metadata;
mod progress;
mod report;
pub mod settings;
mod verdicts;

use std::{
    ffi::OsString,
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use clap::Parser;
use tracing_subscriber::{EnvFilter, Layer, fmt, layer::SubscriberExt, util::SubscriberInitExt};

pub use failure::{Failure, Kind};
pub use wan_pipeline::CancelToken;

/// Runs one command line and returns its exit code: 0 done, 1 failed, 2 bad usage, 130 interrupted. `leave` must end
/// the process; it is called on the second interrupting signal, after temporary files were removed.
pub fn run(args: impl IntoIterator<Item = OsString>, leave: fn()) -> ExitCode {
    let cli = match args::Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    log_to_stderr(cli.verbose);
    crash::quiet_panics();
    match crash::guard(|| commands::run(cli, leave)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = write!(io::stderr(), "{failure}");
            failure.exit_code()
        }
    }
}

/// Help and version go to stdout with exit code 0; a bad command line goes to stderr with exit code 2.
fn refuse(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let text = error.render().to_string();
    let text = text.replace("\n  tip: ", "\nhint: ");
    let text = text
        .replace("For more information, try '--help'.", "hint: see `wan --help` and `wan <command> --help`");
    let _ = write!(io::stderr(), "{text}");
    ExitCode::from(2)
}

/// Logs as `WAN_LOG` or `RUST_LOG` asks for, else by how often `-v` was given.
fn log_to_stderr(verbose: u8) {
    let asked = |name| std::env::var(name).ok().filter(|filter| !filter.is_empty());
    let filter = asked("WAN_LOG").or_else(|| asked("RUST_LOG")).unwrap_or_else(|| default_filter(verbose));
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let text = fmt::layer().with_writer(io::stderr).with_ansi(colour).with_filter(EnvFilter::new(filter));
    // A second subscriber in one process (tests) is refused, and the first one stays.
    let _ = tracing_subscriber::registry().with(text).with(kernel_counts::layer()).try_init();
}

/// Errors of all; more of our own crates, and of the others only what an adapter's driver might explain.
fn default_filter(verbose: u8) -> String {
    let (others, ours) = match verbose {
        0 => return "error".to_owned(),
        1 => ("error", "info"),
        2 => ("warn", "debug"),
        _ => ("info", "trace"),
    };
    let crates = ["wan_cli", "wan_pipeline", "wan_import", "wan_model", "wan_kernels"];
    let ours = crates.map(|name| format!("{name}={ours}")).join(",");
    format!("{others},{ours}")
}
