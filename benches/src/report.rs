//! Timing and the JSON a run leaves behind.

use std::time::Instant;

/// Seconds of several runs of one thing, and what it was.
#[derive(Debug, serde::Serialize)]
pub struct Measurement {
    pub what: String,
    pub device: String,
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
        Self { what, device, length, seconds, median_seconds, tflop, tflop_per_second, peak_memory_bytes }
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

/// The most resident memory this process has had; Linux only.
pub fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}
