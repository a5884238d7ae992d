//! The kernels of a device: their check, what it found before, and what runs without them.

use std::time::Instant;

use burn::tensor::{DType, Device};
use serde::Serialize;
use wan_kernels::{
    DeviceCaps, DeviceKind, FUSED, Mode, Road,
    verify::{self, Case, Check, Verdict},
};
use wan_pipeline::{CancelToken, PipelineError};

use super::{EngineError, Event, Phase};
use crate::{
    devices::Target,
    verdicts::{self, Finding, Identity, Record},
};
pub use wan_kernels::verify::Depth;

/// A device and what its kernels have to do with.
#[derive(Clone, Debug, Serialize)]
pub struct About {
    pub device: String,
    pub driver: String,
    /// Runtime and shader language.
    pub runtime: String,
    pub limits: Option<Limits>,
    pub f16: bool,
    pub bf16: bool,
}

/// Of an adapter; the host has none.
#[derive(Clone, Debug, Serialize)]
pub struct Limits {
    pub max_storage_binding_bytes: u64,
    pub workgroup_memory_bytes: usize,
    pub invocations_per_workgroup: u32,
    /// Smallest and largest.
    pub plane_size: (u32, u32),
    /// As rows x columns x depth, factors and sums.
    pub matrix_tiles: Vec<String>,
}

/// One check's result.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub operation: &'static str,
    /// `small`, or the model that has this size.
    pub size: &'static str,
    pub shape: Vec<usize>,
    pub dtype: &'static str,
    /// What ran: `own`, `backend` or `reference`.
    pub road: &'static str,
    /// Why it was not the own kernel, where there is one.
    pub cause: Option<String>,
    pub rows: usize,
    pub compared_rows: usize,
    /// `null` in JSON if the result is not finite or there is none, as all errors here.
    pub max_absolute_error: f64,
    pub relative_l2_error: f64,
    pub allowed_error: f64,
    pub seconds: Option<f64>,
    /// Of plain tensor code on the device, over the compared rows.
    pub reference_relative_l2_error: Option<f64>,
    pub reference_seconds: Option<f64>,
    /// `passed`, `kernel fails` or `device fails`.
    pub verdict: &'static str,
    pub reason: Option<String>,
}

/// What an examination tells while it goes on.
pub enum Examining<'a> {
    Device(&'a About),
    /// Check `index` (from 0) of `total` begins.
    Next {
        index: usize,
        total: usize,
        what: String,
    },
    Done(&'a Row),
}

/// The result for one device.
#[derive(Clone, Debug, Serialize)]
pub struct Examined {
    #[serde(flatten)]
    pub about: About,
    pub seconds: f64,
    pub checks: Vec<Row>,
    /// Operations whose own kernels fail; `generate` runs them without.
    pub failed: Vec<Finding>,
    /// Operations whose plain tensor code fails.
    pub broken: Vec<Finding>,
}

/// Checks the kernels of a device and keeps the verdict for later runs. The token is read before each check.
pub fn examine(
    target: &Target,
    depth: Depth,
    cancel: &CancelToken,
    observe: &mut dyn FnMut(Examining<'_>),
) -> Result<Examined, EngineError> {
    let start = Instant::now();
    let (device, host) = (target.open(), Target::Ndarray.open());
    let about = about(target, &device);
    observe(Examining::Device(&about));
    let cases = verify::cases(&device, depth);
    let total = cases.len();
    let (mut checks, mut failed, mut broken) = (Vec::new(), Vec::new(), Vec::new());
    for (index, case) in cases.iter().enumerate() {
        if cancel.is_cancelled() {
            return Err(PipelineError::Cancelled.into());
        }
        observe(Examining::Next { index, total, what: title(case) });
        let check = case.run(&device, &host);
        match check.verdict() {
            Verdict::Passed => {}
            Verdict::KernelFails(fault) => add(&mut failed, &check, case, &fault),
            Verdict::DeviceFails(fault) => add(&mut broken, &check, case, &fault),
        }
        let row = row(check);
        observe(Examining::Done(&row));
        checks.push(row);
    }
    let record = Record {
        identity: identity(target, &device),
        full: depth == Depth::Full,
        failed: failed.clone(),
        broken: broken.clone(),
    };
    verdicts::store(&record);
    Ok(Examined { about, seconds: start.elapsed().as_secs_f64(), checks, failed, broken })
}

/// Notes the first fault of an operation.
fn add(findings: &mut Vec<Finding>, check: &Check, case: &Case, fault: &str) {
    if findings.iter().all(|finding| finding.operation != check.operation) {
        let cause = format!("its check at {} found: {fault}", title(case));
        findings.push(Finding { operation: check.operation.to_owned(), cause });
    }
}

/// Such as `attention 1x2x37x70x128 f32`.
fn title(case: &Case) -> String {
    format!("{} {} {}", case.name(), sizes(case.shape()), case.dtype().name())
}

/// Sizes of axes, such as `1x512x4096`.
pub fn sizes(shape: &[usize]) -> String {
    shape.iter().map(ToString::to_string).collect::<Vec<_>>().join("x")
}

/// Before the first step on `device`: what an earlier check found, or a short check now. Kernels that failed are
/// refused on the device. Nothing of that if `WAN_KERNELS` settles what runs.
pub(super) fn first_use(
    target: &Target,
    device: &Device,
    cancel: &CancelToken,
    events: &mut dyn FnMut(Event),
) -> Result<(), EngineError> {
    if Mode::get() != Mode::Auto || DeviceCaps::of(device).kind == DeviceKind::Other {
        return Ok(());
    }
    let (failed, broken) = match verdicts::load(&identity(target, device)) {
        Some(record) => (record.failed, record.broken),
        None => {
            events(Event::PhaseStarted(Phase::Check));
            let examined = examine(target, Depth::Short, cancel, &mut |_| {})?;
            events(Event::PhaseFinished { phase: Phase::Check, seconds: examined.seconds });
            (examined.failed, examined.broken)
        }
    };
    for finding in failed {
        if let Some(operation) = FUSED.iter().find(|operation| operation.name == finding.operation) {
            wan_kernels::refuse(operation.name, device, finding.cause);
        }
    }
    if let Some(Finding { operation, cause }) = broken.first() {
        events(Event::Warning(format!(
            "plain tensor operations are wrong on {}, {operation} among them: {cause}; use --device cpu or update the \
             driver",
            target.describe()
        )));
    }
    Ok(())
}

/// The operations that run without their own kernels on a device, each told once.
pub(super) struct Fallbacks {
    device: Device,
    name: String,
    told: usize,
}

impl Fallbacks {
    pub fn new(target: &Target, device: &Device) -> Self {
        Self { device: device.clone(), name: target.describe(), told: 0 }
    }

    /// Those that came up since the last call.
    pub fn untold(&mut self) -> Vec<Event> {
        let all = wan_kernels::fallbacks();
        let new = all.iter().skip(std::mem::replace(&mut self.told, all.len()));
        new.filter(|fallback| fallback.device == self.device)
            .map(|fallback| {
                let (operation, cause) = (fallback.operation.to_owned(), fallback.cause.clone());
                Event::Fallback { finding: Finding { operation, cause }, device: self.name.clone() }
            })
            .collect()
    }
}

fn identity(target: &Target, device: &Device) -> Identity {
    Identity {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        revision: verify::REVISION,
        device: target.describe(),
        driver: target.driver(),
        runtime: DeviceCaps::of(device).runtime.to_string(),
    }
}

fn about(target: &Target, device: &Device) -> About {
    let caps = DeviceCaps::of(device);
    let tile = |t: &wan_kernels::MatrixTile| {
        format!("{}x{}x{} {} to {}", t.m, t.n, t.k, t.input.name(), t.accumulator.name())
    };
    let limits = (caps.kind == DeviceKind::Cube).then(|| Limits {
        max_storage_binding_bytes: caps.max_binding_bytes,
        workgroup_memory_bytes: caps.shared_memory_bytes,
        invocations_per_workgroup: caps.max_units_per_cube,
        plane_size: caps.plane_size,
        matrix_tiles: caps.matrix_tiles.iter().map(tile).collect(),
    });
    About {
        device: target.describe(),
        driver: target.driver(),
        runtime: caps.runtime.to_string(),
        limits,
        f16: caps.kind != DeviceKind::Other && caps.handles(DType::F16),
        bf16: caps.kind != DeviceKind::Other && caps.handles(DType::BF16),
    }
}

fn row(check: Check) -> Row {
    let (verdict, reason) = match check.verdict() {
        Verdict::Passed => ("passed", None),
        Verdict::KernelFails(reason) => ("kernel fails", Some(reason)),
        Verdict::DeviceFails(reason) => ("device fails", Some(reason)),
    };
    let allowed_error = check.bar();
    let (own, plain) = (check.own.ok(), check.plain.and_then(Result::ok));
    Row {
        operation: check.name,
        size: check.size,
        shape: check.shape,
        dtype: check.dtype.name(),
        road: match check.road {
            Road::Custom => "own",
            Road::Backend => "backend",
            Road::Reference => "reference",
        },
        cause: check.cause,
        rows: check.rows,
        compared_rows: check.compared_rows,
        max_absolute_error: own.map_or(f64::INFINITY, |own| own.difference.max_absolute),
        relative_l2_error: own.map_or(f64::INFINITY, |own| own.difference.relative_l2),
        allowed_error,
        seconds: own.map(|own| own.seconds),
        reference_relative_l2_error: plain.map(|plain| plain.difference.relative_l2),
        reference_seconds: plain.map(|plain| plain.seconds),
        verdict,
        reason,
    }
}
