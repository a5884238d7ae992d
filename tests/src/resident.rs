//! Resident memory of this process, on Linux; tests that need it say so and end elsewhere.

use std::fs;

/// The largest resident set since the last [`reset`], in bytes.
pub fn peak() -> Option<u64> {
    kib("VmHWM:")
}

/// The resident set now, in bytes.
pub fn now() -> Option<u64> {
    kib("VmRSS:")
}

/// Lets [`peak`] begin again with what is resident now.
pub fn reset() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}

fn kib(field: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}
