//! Timing and the JSON a run leaves behind.

use std::{str::FromStr, time::Instant};

use burn::tensor::{Device, DeviceKind};

use crate::memory::peak_memory_bytes;

/// Seconds of several runs of one thing, and what it was.
#[derive(Debug, serde::Serialize)]
pub struct Measurement {
    pub what: String,
    pub device: String,
    /// The processor or adapter, and the source's commit, as `WAN_MACHINE` and `WAN_COMMIT` tell.
    pub machine: Option<String>,
    pub commit: Option<String>,
    /// Video tokens, or output pixels for a decoder.
    pub length: usize,
    pub seconds: Vec<f64>,
    pub median_seconds: f64,
    /// Floating-point operations of one run from the closed formula, if there is one.
    pub tflop: Option<f64>,
    pub tflop_per_second: Option<f64>,
    pub peak_memory_bytes: Option<u64>,
}

impl Measurement {
    pub fn new(what: String, device: String, length: usize, seconds: Vec<f64>, tflop: Option<f64>) -> Self {
        let mut sorted = seconds.clone();
        sorted.sort_by(f64::total_cmp);
        let median_seconds = sorted[sorted.len() / 2];
        let tflop_per_second = tflop.map(|n| n / median_seconds);
        let peak_memory_bytes = peak_memory_bytes();
        let [machine, commit] = ["WAN_MACHINE", "WAN_COMMIT"].map(|name| std::env::var(name).ok());
        Self {
            what,
            device,
            machine,
            commit,
            length,
            seconds,
            median_seconds,
            tflop,
            tflop_per_second,
            peak_memory_bytes,
        }
    }

    /// One JSON object on stdout.
    #[expect(clippy::print_stdout, reason = "a measurement's result is its output")]
    pub fn print(&self) {
        println!("{}", serde_json::to_string_pretty(self).unwrap_or_default());
    }
}

/// Seconds of each of `runs` calls; `work` must wait for its device.
pub fn time(runs: usize, mut work: impl FnMut()) -> Vec<f64> {
    let mut once = || {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    };
    (0..runs).map(|_| once()).collect()
}

/// Processor time of all threads of this process so far; Linux only, in hundredths of a second.
pub fn processor_seconds() -> Option<f64> {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // After the name, which may hold anything, the 12th and 13th fields are ticks in user and kernel code.
    let mut fields = stat.rsplit(')').next()?.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS_PER_SECOND)
}

/// The value after `name` on the command line, or `default` if it is absent or no such value.
pub fn argument<T: FromStr>(name: &str, default: T) -> T {
    let mut arguments = std::env::args().skip_while(|a| a != name).skip(1);
    arguments.next().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// `--latent F,H,W`, by default the five frames of 256x256 that peers are compared at.
pub fn latent_argument() -> [usize; 3] {
    let latent: String = argument("--latent", String::new());
    let sizes: Vec<usize> = latent.split(',').filter_map(|n| n.parse().ok()).collect();
    sizes.try_into().unwrap_or([2, 32, 32])
}

/// `--device cpu|wgpu` and its name.
pub fn device_argument() -> (String, Device) {
    let name = argument("--device", "cpu".to_owned());
    let device = if name == "wgpu" { Device::wgpu(DeviceKind::DefaultDevice) } else { Device::flex() };
    (name, device)
}

/// `||found - exact|| / ||exact||`; infinite if that is no number.
///
/// # Panics
/// If the lengths differ.
pub fn relative_l2(found: &[f32], exact: &[f32]) -> f64 {
    assert_eq!(found.len(), exact.len(), "lengths differ");
    let square = |x: f32| f64::from(x).powi(2);
    let error: f64 = found.iter().zip(exact).map(|(a, b)| square(a - b)).sum();
    let norm: f64 = exact.iter().map(|&b| square(b)).sum();
    let result = (error / norm).sqrt();
    if result.is_finite() { result } else { f64::INFINITY }
}
