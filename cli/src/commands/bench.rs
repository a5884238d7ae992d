//! `wan bench`: how fast this machine is.

mod kernels;
mod load;
pub(super) mod networks;
mod step;
mod vae;

use std::ops::ControlFlow;

use burn::tensor::Device;
use serde::Serialize;
use serde_json::json;
use wan_import::ImportError;
use wan_pipeline::PipelineError;

use super::{print, print_line};
use crate::{
    CancelToken, Failure, Kind,
    args::{BenchArgs, Benchmark, Common},
    crash,
    devices::{Target, adapters, resolve},
    engine::EngineError,
    interrupt,
};

/// Measures what the flags name and prints a line for each row as it ends.
pub fn run(args: &BenchArgs, quiet: bool, leave: fn()) -> Result<(), Failure> {
    let common = match &args.what {
        Benchmark::Step(args) => &args.common,
        Benchmark::Vae(args) => &args.common,
        Benchmark::Load(args) => &args.common,
        Benchmark::Kernels(args) => &args.common,
        Benchmark::Quant(args) => &args.common,
    };
    let mut teller = Teller::new(common, quiet, leave)?;
    let told = match &args.what {
        Benchmark::Step(args) => step::run(args, &mut teller),
        Benchmark::Vae(args) => vae::run(args, &mut teller),
        Benchmark::Load(args) => load::run(args, &mut teller),
        Benchmark::Kernels(args) => kernels::run(args, &mut teller),
        Benchmark::Quant(_) => kernels::quantized(&mut teller),
    }?;
    teller.finish(told)
}

/// The device that is measured, and who is told of it.
pub struct Teller {
    pub target: Target,
    pub device: Device,
    cancel: CancelToken,
    json: bool,
    quiet: bool,
    written: Result<(), Failure>,
}

impl Teller {
    pub fn new(common: &Common, quiet: bool, leave: fn()) -> Result<Self, Failure> {
        let cancel = CancelToken::default();
        interrupt::install(&cancel, leave)?;
        let target = resolve(common.device, &adapters())?;
        let device = target.open();
        Ok(Self { target, device, cancel, json: common.json, quiet, written: Ok(()) })
    }

    /// The device, and what the environment says of machine and commit.
    pub fn heading(&mut self) {
        let device = self.target.describe();
        let version = env!("CARGO_PKG_VERSION");
        let [machine, commit] = ["WAN_MACHINE", "WAN_COMMIT"].map(|name| std::env::var(name).ok());
        self.written = match self.json {
            true => print_line(
                &json!({ "device": device, "machine": machine, "commit": commit, "version": version }),
            ),
            false => print(&device),
        };
    }

    /// Prints a row, as it is or as people read it; breaks off where that fails or the user interrupts.
    pub fn tell<T: Serialize>(&mut self, row: &T, line: impl FnOnce(&T) -> String) -> ControlFlow<()> {
        if self.written.is_ok() {
            self.written = if self.json { print_line(row) } else { print(&line(row)) };
        }
        self.go_on()
    }

    /// Says on stderr what goes on, to those who wait.
    pub fn whisper(&self, line: impl FnOnce() -> String) -> ControlFlow<()> {
        use std::io::{self, Write};
        if !self.quiet {
            let _ = writeln!(io::stderr(), "{}", line());
        }
        self.go_on()
    }

    fn go_on(&self) -> ControlFlow<()> {
        match self.written.is_ok() && !self.cancel.is_cancelled() {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    }

    /// Whether all was `told`, or why not.
    pub fn finish(self, told: ControlFlow<()>) -> Result<(), Failure> {
        self.written?;
        match told {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => {
                Err(Failure { kind: Kind::Interrupted, message: "interrupted".to_owned(), hint: None })
            }
        }
    }
}

/// Runs a benchmark, whose panics become failures.
pub(super) fn guarded(
    work: impl FnOnce() -> Result<ControlFlow<()>, ImportError>,
) -> Result<ControlFlow<()>, Failure> {
    crash::guard(|| work().map_err(|error| EngineError::from(PipelineError::from(error)).into()))
}

/// Bytes as GB, or a dash.
fn gigabytes(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "-".to_owned(), |bytes| format!("{:.2} GB", bytes as f64 / 1e9))
}
