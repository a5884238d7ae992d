//! `wan bench kernels` and `wan bench quant`.

use std::ops::ControlFlow;

use wan_benches::{
    kernels::{Line, Options, Peak, Row, run as measure},
    quant,
};

use super::Teller;
use crate::{Failure, args::KernelArgs, crash};

pub(super) fn run(args: &KernelArgs, teller: &mut Teller) -> Result<ControlFlow<()>, Failure> {
    teller.heading();
    let options = Options { device: teller.device.clone(), only: args.only.clone(), seconds: args.seconds };
    crash::guard(|| Ok(measure(&options, |line| teller.tell(&line, text))))
}

pub(super) fn quantized(teller: &mut Teller) -> Result<ControlFlow<()>, Failure> {
    teller.heading();
    let device = teller.device.clone();
    crash::guard(|| Ok(quant::run(&device, |row| teller.tell(&row, quantized_line))))
}

fn quantized_line(row: &quant::Row) -> String {
    format!(
        "{:5} {:6.2} GB ({:2.0} % saved), quantized in {:5.1} s, error {:.1e}, {:6.2} s a pass over {} tokens",
        row.weights,
        row.bytes as f64 / 1e9,
        row.saving * 100.0,
        row.quantize_seconds,
        row.error,
        row.forward_seconds,
        row.tokens,
    )
}

fn text(line: &Line) -> String {
    match line {
        Line::Peak(peak) => peak_line(*peak),
        Line::Row(row) => row_line(row),
        Line::LeftOut { operation, shape, dtype, left_out } => {
            format!("{operation:18} {shape:32} {dtype}  left out: {left_out}")
        }
    }
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
