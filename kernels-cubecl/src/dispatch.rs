//! The only place that decides which implementation of an operation runs on a device, and that remembers why.

use std::{
    cell::RefCell,
    sync::{OnceLock, PoisonError, RwLock},
};

use burn::tensor::{DType, Device};

use crate::{DeviceCaps, DeviceKind, KernelError};

/// How an operation is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Road {
    /// Our kernel, or our twin of it for the CPU.
    Custom,
    /// The backend's own operation, known to be tiled or fused there.
    Backend,
    /// Portable tensor code.
    Reference,
}

/// Which roads may be taken, from the environment variable `WAN_KERNELS`. It is read once, at the first decision,
/// and is the only thing this crate reads from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `reference`: portable tensor code everywhere.
    Reference,
    /// `custom`: own kernels wherever they can run, those refused by [`refuse`] included.
    Custom,
    /// `auto`, anything else, or nothing: own kernels wherever they can run and were not refused.
    Auto,
}

impl Mode {
    /// The mode of this process.
    pub fn get() -> Self {
        static MODE: OnceLock<Mode> = OnceLock::new();
        *MODE.get_or_init(|| Self::parse(std::env::var("WAN_KERNELS").ok().as_deref()))
    }

    fn parse(value: Option<&str>) -> Self {
        match value {
            Some("reference") => Self::Reference,
            Some("custom") => Self::Custom,
            None | Some("" | "auto") => Self::Auto,
            Some(other) => {
                tracing::warn!(value = other, "WAN_KERNELS is reference, custom or auto; taken as auto");
                Self::Auto
            }
        }
    }
}

/// What a CubeCL kernel asks of a device besides its dtypes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Tensor arguments.
    pub bindings: u32,
    /// Of one cube.
    pub shared_memory_bytes: usize,
    /// Of one cube.
    pub units: u32,
    /// Plane-wide operations.
    pub plane_ops: bool,
}

/// The forms an operation comes in besides its reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// As messages name it.
    pub name: &'static str,
    /// The CubeCL kernel, if there is one.
    pub cube: Option<Needs>,
    /// A twin for burn-flex exists.
    pub twin: bool,
    /// burn-flex's own operation is tiled or fused.
    pub flex_backend: bool,
}

/// An operation that cannot take the road meant for it, told once.
#[derive(Clone, Debug, PartialEq)]
pub struct Fallback {
    pub operation: &'static str,
    pub device: Device,
    /// The device and its runtime, for people.
    pub device_name: String,
    /// Without the operation's name in front.
    pub cause: String,
}

static FALLBACKS: RwLock<Vec<Fallback>> = RwLock::new(Vec::new());
static REFUSED: RwLock<Vec<(&'static str, Device, String)>> = RwLock::new(Vec::new());

/// What was decided inside [`forced`].
#[derive(Clone, Debug)]
pub(crate) struct Decision {
    pub road: Road,
    /// Why it is not the custom one, if one exists for the device.
    pub cause: Option<KernelError>,
}

thread_local! {
    /// Some while [`forced`] runs on this thread: what was decided last, a fallback before anything else.
    static FORCED: RefCell<Option<Option<Decision>>> = const { RefCell::new(None) };
}

/// Runs `work` with own kernels wherever they can run, whatever `WAN_KERNELS` and [`refuse`] say, and returns what was
/// decided on the way. Fallbacks inside are not listed by [`fallbacks`].
pub(crate) fn forced<T>(work: impl FnOnce() -> T) -> (T, Option<Decision>) {
    /// Ends the scope, also when `work` panics.
    struct Scope;
    impl Drop for Scope {
        fn drop(&mut self) {
            FORCED.take();
        }
    }
    FORCED.set(Some(None));
    let _scope = Scope;
    let result = work();
    (result, FORCED.take().flatten())
}

/// The mode that holds here.
fn mode() -> Mode {
    if FORCED.with_borrow(Option::is_some) { Mode::Custom } else { Mode::get() }
}

/// Tells [`forced`], if it runs; returns whether it does.
fn note(road: Road, cause: Option<&KernelError>) -> bool {
    FORCED.with_borrow_mut(|forced| {
        let Some(last) = forced else { return false };
        if last.as_ref().is_none_or(|last| last.cause.is_none()) {
            *last = Some(Decision { road, cause: cause.cloned() });
        }
        true
    })
}

/// The road for `operation` on `device` with arguments and results of `dtypes`. A custom form that exists for the
/// device but cannot run on it is told once through `tracing` and listed by [`fallbacks`].
pub fn road(operation: &Operation, device: &Device, dtypes: &[DType]) -> Road {
    let caps = DeviceCaps::of(device);
    if mode() == Mode::Reference {
        return Road::Reference;
    }
    let road = match custom(operation, &caps, dtypes).and_then(|own| allowed(operation, device).map(|()| own))
    {
        Ok(true) => Road::Custom,
        Ok(false) => operation.second(caps.kind),
        Err(cause) => return fall_back(operation, device, &cause),
    };
    note(road, None);
    road
}

/// [`road`] for an operation on `elements` elements; the kernels count them in 32 bits, and do not start for none.
pub fn road_for(operation: &Operation, device: &Device, dtypes: &[DType], elements: usize) -> Road {
    let (kind, limit) = (DeviceCaps::of(device).kind, u32::MAX.into());
    match elements as u64 {
        0 => operation.second(kind),
        needed if kind == DeviceKind::Cube && needed > limit => {
            let what = "elements in one tensor";
            fall_back(
                operation,
                device,
                &KernelError::LimitExceeded { operation: operation.name, what, needed, limit },
            )
        }
        _ => road(operation, device, dtypes),
    }
}

/// The road instead of the custom one that `cause` bars. The first cause of an operation on a device is told, unless
/// it is [`KernelError::Unsupported`], which no device could help.
pub fn fall_back(operation: &Operation, device: &Device, cause: &KernelError) -> Road {
    let caps = DeviceCaps::of(device);
    let road = operation.second(caps.kind);
    if note(road, Some(cause)) {
        return road;
    }
    match cause {
        KernelError::Unsupported { .. } => tracing::debug!(device = &*caps.name, "{cause}"),
        _ => remember(operation.name, device, &caps, cause),
    }
    road
}

/// Everything that fell back so far, in the order it was noticed.
pub fn fallbacks() -> Vec<Fallback> {
    FALLBACKS.read().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Bars the custom form of the operation named `operation` from `device`, as one does that failed a comparison with
/// its reference. `WAN_KERNELS=custom` passes over it.
pub fn refuse(operation: &'static str, device: &Device, cause: impl Into<String>) {
    let mut refused = REFUSED.write().unwrap_or_else(PoisonError::into_inner);
    refused.push((operation, device.clone(), cause.into()));
}

impl Operation {
    /// The road without a custom form.
    fn second(&self, kind: DeviceKind) -> Road {
        if self.flex_backend && kind == DeviceKind::Flex { Road::Backend } else { Road::Reference }
    }
}

/// Whether a custom form exists for the device; an error if it exists and cannot run.
fn custom(operation: &Operation, caps: &DeviceCaps, dtypes: &[DType]) -> Result<bool, KernelError> {
    let needs = match caps.kind {
        DeviceKind::Cube => operation.cube,
        DeviceKind::Flex if operation.twin => Some(Needs::NOTHING),
        DeviceKind::Flex | DeviceKind::Other => None,
    };
    let Some(needs) = needs else { return Ok(false) };
    if let Some(dtype) = dtypes.iter().find(|&&dtype| !caps.handles(dtype)) {
        let cause = format!("{} does not compute in {}", caps.name, dtype.name());
        return Err(KernelError::Unavailable { operation: operation.name, cause });
    }
    needs.check(operation.name, caps).map(|()| true)
}

impl Needs {
    const NOTHING: Self = Self { bindings: 0, shared_memory_bytes: 0, units: 1, plane_ops: false };

    /// An error, in the name of `operation`, unless the device has it all.
    pub fn check(&self, operation: &'static str, caps: &DeviceCaps) -> Result<(), KernelError> {
        if self.plane_ops && !caps.plane_ops {
            let cause = format!("{} has no plane operations", caps.name);
            return Err(KernelError::Unavailable { operation, cause });
        }
        let bytes = |n: usize| n as u64;
        let needed = [
            // One more is CubeCL's own metadata.
            ("storage buffers", u64::from(self.bindings) + 1, caps.max_bindings.into()),
            ("bytes of shared memory", bytes(self.shared_memory_bytes), bytes(caps.shared_memory_bytes)),
            ("units in a cube", self.units.into(), caps.max_units_per_cube.into()),
        ];
        match needed.into_iter().find(|(_, needed, limit)| needed > limit) {
            Some((what, needed, limit)) => Err(KernelError::LimitExceeded { operation, what, needed, limit }),
            None => Ok(()),
        }
    }
}

fn allowed(operation: &Operation, device: &Device) -> Result<(), KernelError> {
    let refused = REFUSED.read().unwrap_or_else(PoisonError::into_inner);
    let mine = |(name, on, _): &&(&'static str, Device, String)| *name == operation.name && on == device;
    match refused.iter().find(mine) {
        Some((name, _, cause)) if mode() != Mode::Custom => {
            Err(KernelError::Unavailable { operation: name, cause: cause.clone() })
        }
        _ => Ok(()),
    }
}

fn remember(operation: &'static str, device: &Device, caps: &DeviceCaps, cause: &KernelError) {
    let known = |list: &[Fallback]| list.iter().any(|f| f.operation == operation && f.device == *device);
    if known(&FALLBACKS.read().unwrap_or_else(PoisonError::into_inner)) {
        return;
    }
    let mut fallbacks = FALLBACKS.write().unwrap_or_else(PoisonError::into_inner);
    if !known(&fallbacks) {
        let device_name = format!("{} ({})", caps.name, caps.runtime);
        let cause = cause.reason();
        tracing::warn!(operation, device = device_name, cause, "own kernel not used");
        fallbacks.push(Fallback { operation, device: device.clone(), device_name, cause });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KERNEL: Needs = Needs { bindings: 5, shared_memory_bytes: 1024, units: 256, plane_ops: false };

    fn operation(name: &'static str) -> Operation {
        Operation { name, cube: Some(KERNEL), twin: true, flex_backend: false }
    }

    /// A WebGPU device with the guaranteed limits.
    fn web() -> DeviceCaps {
        DeviceCaps {
            kind: DeviceKind::Cube,
            max_bindings: 7,
            shared_memory_bytes: 16_384,
            max_units_per_cube: 256,
            f16: false,
            ..DeviceCaps::of(&Device::flex())
        }
    }

    #[test]
    fn a_kernel_runs_where_its_needs_are_met() {
        let kernel = operation("kernel");
        assert_eq!(custom(&kernel, &web(), &[DType::F32]), Ok(true));
        assert_eq!(custom(&Operation { cube: None, ..kernel }, &web(), &[DType::F32]), Ok(false));
        let small = DeviceCaps { max_units_per_cube: 64, ..web() };
        let error = custom(&kernel, &small, &[DType::F32]).expect_err("too few units");
        assert_eq!(error.to_string(), "kernel: 256 units in a cube are needed, the device has 64");
        let error = custom(&kernel, &web(), &[DType::F32, DType::F16]).expect_err("no f16");
        assert!(matches!(error, KernelError::Unavailable { .. }), "{error}");
        let planes = Operation { cube: Some(Needs { plane_ops: true, ..KERNEL }), ..kernel };
        assert!(custom(&planes, &web(), &[DType::F32]).is_err());
    }

    #[test]
    fn a_refused_kernel_is_told_once() {
        let (kernel, device) = (operation("a kernel that fails"), Device::flex());
        if Mode::get() != Mode::Auto {
            return;
        }
        assert_eq!(road(&kernel, &device, &[DType::F32]), Road::Custom);
        refuse(kernel.name, &device, "wrong by half");
        for _ in 0..2 {
            assert_eq!(road(&kernel, &device, &[DType::F32]), Road::Reference);
        }
        let told: Vec<_> = fallbacks().into_iter().filter(|f| f.operation == kernel.name).collect();
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].cause, "wrong by half");
        let (forced, decision) = forced(|| road(&kernel, &device, &[DType::F32]));
        assert_eq!(forced, Road::Custom);
        assert_eq!(decision.map(|decision| decision.road), Some(Road::Custom));
        assert_eq!(road(&kernel, &device, &[DType::F32]), Road::Reference);
    }

    #[test]
    fn a_forced_fallback_is_told_to_who_forced_it_alone() {
        let (kernel, device) = (operation("a kernel for narrow rows"), Device::flex());
        let cause = KernelError::Unavailable { operation: kernel.name, cause: "rows are wide".into() };
        let (_, decision) = forced(|| {
            road(&kernel, &device, &[DType::F32]);
            fall_back(&kernel, &device, &cause);
            road(&kernel, &device, &[DType::F32])
        });
        let decision = decision.expect("three decisions were made");
        assert_eq!((decision.road, decision.cause), (Road::Reference, Some(cause)));
        assert!(fallbacks().iter().all(|f| f.operation != kernel.name));
        let caught = std::panic::catch_unwind(|| forced(|| panic!("work fails")));
        assert!(caught.is_err() && FORCED.with_borrow(Option::is_none), "the scope ends with a panic");
    }

    #[test]
    fn what_no_device_could_run_is_not_told() {
        let (kernel, device) = (operation("a kernel for heads"), Device::flex());
        let cause = KernelError::Unsupported { operation: kernel.name, cause: "one wide head".into() };
        assert_eq!(fall_back(&kernel, &device, &cause), Road::Reference);
        assert!(fallbacks().iter().all(|f| f.operation != kernel.name));
    }

    #[test]
    fn modes_by_name() {
        let cases = [
            (None, Mode::Auto),
            (Some("auto"), Mode::Auto),
            (Some("custom"), Mode::Custom),
            (Some("reference"), Mode::Reference),
            (Some("fast"), Mode::Auto),
        ];
        for (value, mode) in cases {
            assert_eq!(Mode::parse(value), mode);
        }
    }
}
