//! The memory there is, and whether a plan fits it.

use serde::Serialize;

use super::{Bytes, MemoryPlan};

/// Above this share of the memory there is, a plan counts as close to the limit: it is an estimate.
const CLOSE: f64 = 0.9;
/// Above this share it is refused.
const TOO_MUCH: f64 = 1.1;

/// Memory that a run may take. What is not known is not a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Room {
    /// Of the host.
    pub host: Option<u64>,
    pub device: DeviceRoom,
}

/// The memory of the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceRoom {
    /// The driver does not say.
    #[default]
    Unknown,
    /// So many bytes of its own.
    Own(u64),
    /// It works in the host's memory.
    Shared,
}

/// What a plan takes too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Shortage {
    /// `memory` or `device memory`.
    pub what: &'static str,
    pub needed: u64,
    pub available: u64,
    #[serde(skip)]
    pub(super) on_device: bool,
}

impl Shortage {
    fn share(&self) -> f64 {
        self.needed as f64 / (self.available as f64).max(1.0)
    }

    /// Whether it may be a matter of the estimate.
    pub fn is_close(&self) -> bool {
        self.share() <= TOO_MUCH
    }
}

impl Room {
    /// The kind of memory of which `plan` takes more than a comfortable share, or the larger share of two.
    /// `resident`: whether weights that are mapped from files must stay in memory.
    pub fn shortage(&self, plan: &MemoryPlan, resident: bool) -> Option<Shortage> {
        let worst = self.uses(plan, resident).into_iter().max_by(|a, b| a.share().total_cmp(&b.share()));
        worst.filter(|most| most.share() > CLOSE)
    }

    /// Whether `plan` takes no more than there is.
    pub(super) fn holds(&self, plan: &MemoryPlan, resident: bool) -> bool {
        self.uses(plan, resident).iter().all(|shortage| shortage.needed <= shortage.available)
    }

    /// In thousandths of the memory of which `plan` takes the largest share.
    pub(super) fn most_used(&self, plan: &MemoryPlan, resident: bool) -> u64 {
        let shares = self.uses(plan, resident).into_iter().map(|usage| (usage.share() * 1e3) as u64);
        shares.max().unwrap_or(0)
    }

    /// Bytes that `plan` leaves of the memory in which the networks work; `None` if it is not known.
    pub(super) fn left(&self, plan: &MemoryPlan, resident: bool, adapter: bool) -> Option<u64> {
        let on_device = adapter && self.device != DeviceRoom::Shared;
        let use_of_it = self.uses(plan, resident).into_iter().find(|usage| usage.on_device == on_device)?;
        Some(use_of_it.available.saturating_sub(use_of_it.needed))
    }

    fn uses(&self, plan: &MemoryPlan, resident: bool) -> Vec<Shortage> {
        let shared = self.device == DeviceRoom::Shared;
        let of = |bytes: Bytes| host_bytes(bytes, resident, shared);
        let phases = plan.phases.iter().map(|phase| of(phase.total()));
        let needed = of(plan.overhead) + phases.max().unwrap_or(0);
        let host =
            self.host.map(|available| Shortage { what: "memory", needed, available, on_device: false });
        let device = match self.device {
            DeviceRoom::Own(available) => {
                let needed = plan.peak().device;
                Some(Shortage { what: "device memory", needed, available, on_device: true })
            }
            _ => None,
        };
        host.into_iter().chain(device).collect()
    }
}

/// Those of `bytes` that take the host's memory.
pub(super) fn host_bytes(bytes: Bytes, resident: bool, shared: bool) -> u64 {
    bytes.host + if resident { bytes.mapped } else { 0 } + if shared { bytes.device } else { 0 }
}
