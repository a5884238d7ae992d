//! One module per command.

mod batch;
mod bench;
mod camera;
mod compile;
mod config;
mod convert;
mod devices;
mod doctor;
pub mod generate;
mod inspect;
mod plan;
mod profile;
pub mod pull;
mod resume;
mod runs;

use std::io::{self, Write};

use crate::{
    Failure,
    args::{Cli, Command},
};

/// Runs the chosen command.
pub fn run(cli: Cli, leave: fn()) -> Result<(), Failure> {
    match cli.command {
        Command::Generate(args) => generate::run(*args, cli.quiet, leave),
        Command::Batch(args) => batch::run(&args, cli.quiet, leave),
        Command::Resume(args) => resume::run(&args, cli.quiet, leave),
        Command::Runs(args) => runs::run(&args),
        Command::Plan(args) => plan::run(&args, cli.quiet),
        Command::Inspect(args) => inspect::run(&args, cli.quiet, leave),
        Command::Convert(args) => convert::run(&args, cli.quiet, leave),
        Command::Pull(args) => pull::run(&args, cli.quiet, leave),
        Command::Camera(args) => camera::run(&args, cli.quiet),
        Command::Devices(args) => devices::run(&args),
        Command::Doctor(args) => doctor::run(&args, cli.quiet, leave),
        Command::Compile(args) => compile::run(&args, cli.quiet, leave),
        Command::Bench(args) => bench::run(&args, cli.quiet, leave),
        Command::Profile(args) => profile::run(&args, cli.quiet, leave),
        Command::Config(args) => config::run(&args, cli.quiet),
        Command::Completions(args) => config::completions(&args),
        Command::Man(args) => config::man(&args),
    }
}

/// Writes data to stdout.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        // A reader that has seen enough, such as `head`.
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::failed(format!("writing to stdout: {e}")))
        }
        _ => Ok(()),
    }
}

/// Writes a value as one JSON object to stdout.
fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Failure::failed(format!("JSON: {e}")))?;
    print(&text)
}

/// Writes a value as one line of JSON to stdout.
fn print_line(value: &impl serde::Serialize) -> Result<(), Failure> {
    print(&serde_json::to_string(value).map_err(|e| Failure::failed(format!("JSON: {e}")))?)
}
