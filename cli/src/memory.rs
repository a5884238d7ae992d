//! Memory of this process.

/// Largest resident set so far in bytes.
#[cfg(unix)]
pub fn peak_bytes() -> Option<u64> {
    use nix::sys::resource::{UsageWho, getrusage};
    // macOS counts bytes, every other Unix KiB.
    const UNIT: u64 = if cfg!(target_os = "macos") { 1 } else { 1024 };
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    Some(u64::try_from(usage.max_rss()).ok()? * UNIT)
}

/// Not measured on this system.
#[cfg(not(unix))]
pub fn peak_bytes() -> Option<u64> {
    None
}

/// The resident set in bytes; where the system does not tell, its peak.
pub fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.map(|kib| kib * 1024).or_else(peak_bytes)
}
