//! Peak memory of this process.

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
