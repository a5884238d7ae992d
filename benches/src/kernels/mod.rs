//! The operations of the networks at their real sizes, each beside its plain reference.

mod attention;
mod cases;
mod convolution;
mod elementwise;
mod measure;
mod peak;
mod products;

use std::ops::ControlFlow;

use burn::tensor::{DType, Device};
use wan_kernels::{DeviceCaps, DeviceKind};

pub use cases::{Case, Cost, Forms, Work};
pub use measure::median;
pub use peak::{Peak, matmul_gflop_per_second};

/// What to measure, and for how long.
#[derive(Clone, Debug)]
pub struct Options {
    pub device: Device,
    /// Of operations whose name holds this text; all without it.
    pub only: Option<String>,
    /// Of each form of each row, about; what would take three times as long for one call is left out.
    pub seconds: f64,
}

/// One operation at one size.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Row {
    pub operation: &'static str,
    pub shape: String,
    pub dtype: &'static str,
    pub median_seconds: f64,
    /// `None` for operations that only move memory.
    pub gflop_per_second: Option<f64>,
    /// Of what must be read and written at least once.
    pub gigabytes_per_second: f64,
    /// Of the time that the device's own matrix product or copy would take, whichever is longer.
    pub share_of_peak: f64,
    pub reference_seconds: f64,
    pub faster_than_reference: f64,
}

/// What [`run`] tells.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(untagged)]
pub enum Line {
    Peak(Peak),
    Row(Row),
    /// A size the device cannot bear in the time given.
    LeftOut {
        operation: &'static str,
        shape: String,
        dtype: &'static str,
        left_out: String,
    },
}

/// Every operation at every size, dtype by dtype, until `told` breaks off.
pub fn run(options: &Options, mut told: impl FnMut(Line) -> ControlFlow<()>) -> ControlFlow<()> {
    for dtype in dtypes(&options.device) {
        let peak = Peak::of(&options.device, dtype);
        told(Line::Peak(peak))?;
        for case in cases(options, dtype) {
            told(line(&case, options, peak))?;
        }
    }
    ControlFlow::Continue(())
}

/// f32, and f16 where a kernel gains by it.
pub fn dtypes(device: &Device) -> Vec<DType> {
    let caps = DeviceCaps::of(device);
    let half = caps.kind == DeviceKind::Cube && caps.f16;
    [DType::F32].into_iter().chain(half.then_some(DType::F16)).collect()
}

/// The rows for `dtype` that are asked for.
pub fn cases(options: &Options, dtype: DType) -> impl Iterator<Item = Case> + '_ {
    let named = |case: &Case| options.only.as_ref().is_none_or(|only| case.operation.contains(only.as_str()));
    cases::all(dtype).into_iter().filter(move |case| named(case))
}

fn line(case: &Case, options: &Options, peak: Peak) -> Line {
    let dtype = case.dtype.name();
    match case.refusal(options, peak) {
        Some(left_out) => {
            Line::LeftOut { operation: case.operation, shape: case.shape.clone(), dtype, left_out }
        }
        None => Line::Row(row(case, options, peak)),
    }
}

fn row(case: &Case, options: &Options, peak: Peak) -> Row {
    let mut forms = case.prepare(&options.device);
    let median_seconds = median(&options.device, options.seconds, &mut forms.custom);
    let reference_seconds = median(&options.device, options.seconds, &mut forms.reference);
    Row {
        operation: case.operation,
        shape: case.shape.clone(),
        dtype: case.dtype.name(),
        median_seconds,
        gflop_per_second: (case.cost.flops > 0.0).then(|| case.cost.flops / median_seconds / 1e9),
        gigabytes_per_second: case.cost.bytes / median_seconds / 1e9,
        share_of_peak: peak.seconds(case.cost) / median_seconds,
        reference_seconds,
        faster_than_reference: reference_seconds / median_seconds,
    }
}
