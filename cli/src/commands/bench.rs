//! `wan bench`: how fast this machine is.

use std::ops::ControlFlow;

use serde_json::json;
use wan_benches::{
    kernels::{Line, Options, Peak, Row, run as measure},
    quant,
};

use super::{print, print_line};
use crate::{
    CancelToken, Failure, Kind,
    args::{BenchArgs, Benchmark},
    crash,
    devices::{adapters, resolve},
    interrupt,
};

/// Measures what the flags name and prints a line for each row as it ends.
pub fn run(args: &BenchArgs, leave: fn()) -> Result<(), Failure> {
    let cancel = CancelToken::default();
    interrupt::install(&cancel, leave)?;
    let target = resolve(args.device, &adapters())?;
    let device = target.open();
    let mut written = print_heading(args, &target.describe());
    let mut go_on = |line: Result<(), Failure>| {
        written = std::mem::replace(&mut written, Ok(())).and(line);
        let go_on = written.is_ok() && !cancel.is_cancelled();
        if go_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let told = crash::guard(|| {
        Ok(match args.what {
            Benchmark::Kernels => {
                let options = Options { device, only: args.only.clone(), seconds: args.seconds };
                measure(&options, |line| go_on(tell(args, &line)))
            }
            Benchmark::Quant => quant::run(&device, |row| go_on(tell_quant(args, &row))),
        })
    })?;
    written?;
    if told.is_break() {
        Err(Failure { kind: Kind::Interrupted, message: "interrupted".to_owned(), hint: None })
    } else {
        Ok(())
    }
}

fn tell_quant(args: &BenchArgs, row: &quant::Row) -> Result<(), Failure> {
    if args.json {
        return print_line(row);
    }
    print(&format!(
        "{:5} {:6.2} GB ({:2.0} % saved), quantized in {:5.1} s, error {:.1e}, {:6.2} s a pass over {} tokens",
        row.weights,
        row.bytes as f64 / 1e9,
        row.saving * 100.0,
        row.quantize_seconds,
        row.error,
        row.forward_seconds,
        row.tokens,
    ))
}

fn print_heading(args: &BenchArgs, device: &str) -> Result<(), Failure> {
    let version = env!("CARGO_PKG_VERSION");
    let [machine, commit] = ["WAN_MACHINE", "WAN_COMMIT"].map(|name| std::env::var(name).ok());
    match args.json {
        true => {
            print_line(&json!({ "device": device, "machine": machine, "commit": commit, "version": version }))
        }
        false => print(device),
    }
}

fn tell(args: &BenchArgs, line: &Line) -> Result<(), Failure> {
    if args.json {
        return print_line(line);
    }
    print(&match line {
        Line::Peak(peak) => peak_line(*peak),
        Line::Row(row) => row_line(row),
        Line::LeftOut { operation, shape, dtype, left_out } => {
            format!("{operation:18} {shape:32} {dtype}  left out: {left_out}")
        }
    })
}

fn peak_line(peak: Peak) -> String {
    format!(
        "{}: matrix product {:.1} GFLOP/s, memory {:.1} GB/s",
        peak.dtype.name(),
        peak.matmul_gflop_per_second,
        peak.memory_gigabytes_per_second
    )
}

fn row_line(row: &Row) -> String {
    let rate = match row.gflop_per_second {
        Some(rate) => format!("{rate:8.1} GFLOP/s"),
        None => format!("{:8.1} GB/s   ", row.gigabytes_per_second),
    };
    format!(
        "{:18} {:32} {}  {:10.3} ms {rate} {:4.0} % of peak, reference {:10.3} ms ({:.2}x)",
        row.operation,
        row.shape,
        row.dtype,
        row.median_seconds * 1e3,
        row.share_of_peak * 100.0,
        row.reference_seconds * 1e3,
        row.faster_than_reference,
    )
}
