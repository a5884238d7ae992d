//! Memory of this process and of this machine; Linux only where nothing else is said.

use std::fs;

/// The most resident memory this process has had, or since the last [`reset_peak`].
pub fn peak_memory_bytes() -> Option<u64> {
    kib("/proc/self/status", "VmHWM:")
}

/// Makes [`peak_memory_bytes`] start again from what is resident now, where the system lets a process do that.
pub fn reset_peak() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// What can be had without swapping.
pub fn available_bytes() -> Option<u64> {
    kib("/proc/meminfo", "MemAvailable:")
}

fn kib(path: &str, field: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}
