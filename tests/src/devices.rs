//! The devices a cross-backend test runs on.

use std::io::Write;

use burn::tensor::{Device, DeviceType};

/// A device and the name a failure is reported under.
#[derive(Clone, Debug)]
pub struct TestDevice {
    pub name: &'static str,
    pub device: Device,
    /// Reaches a graphics adapter; its sums are ordered differently from the host's.
    pub gpu: bool,
}

/// Every device of this machine: `ndarray` (the reference), `cpu` (burn-flex), and `wgpu` if an adapter, a software
/// one included, is present. A missing adapter is said on stderr, past the test harness's capture, never silently
/// passed over; `WAN_REQUIRE_GPU=1` makes it a failure.
pub fn devices() -> Vec<TestDevice> {
    let mut devices = vec![
        TestDevice { name: "ndarray", device: reference_device(), gpu: false },
        TestDevice { name: "cpu", device: Device::flex(), gpu: false },
    ];
    match wgpu() {
        Some(device) => devices.push(TestDevice { name: "wgpu", device, gpu: true }),
        None if std::env::var_os("WAN_REQUIRE_GPU").is_some() => {
            panic!("no wgpu adapter, and one is required")
        }
        None => report_skip("wgpu", "no adapter"),
    }
    devices
}

/// The reference for correctness.
#[expect(deprecated, reason = "burn-ndarray goes with Burn 0.23; until then it is the reference")]
pub fn reference_device() -> Device {
    Device::ndarray()
}

fn wgpu() -> Option<Device> {
    Device::enumerate(DeviceType::Wgpu).into_iter().next()
}

/// Says on stderr that the running test leaves out `device`, and why.
pub fn report_skip(device: &str, why: &str) {
    let test = std::thread::current().name().unwrap_or("?").to_owned();
    // The harness captures the print macros only, so this line is always seen.
    let _ = writeln!(std::io::stderr(), "SKIPPED on {device} ({why}): {test}");
}
