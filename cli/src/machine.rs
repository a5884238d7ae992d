//! The memory of this machine.

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};
use wan_pipeline::{DeviceRoom, Room};

use crate::{
    devices::{AdapterKind, Target, device_memory_bytes},
    settings::MemoryLimit,
};

/// What a run on `device` may take: what is free now, or less if the user says so.
pub fn room(device: &Target, limit: Option<MemoryLimit>) -> Room {
    if limit == Some(MemoryLimit::None) {
        return Room::default();
    }
    let found = Room { host: host_bytes(), device: device_room(device) };
    match (limit, found.device) {
        (Some(MemoryLimit::Bytes(bytes)), DeviceRoom::Own(_) | DeviceRoom::Unknown)
            if device.is_adapter() =>
        {
            Room { device: DeviceRoom::Own(bytes), ..found }
        }
        (Some(MemoryLimit::Bytes(bytes)), _) => Room { host: Some(bytes), ..found },
        _ => found,
    }
}

/// What the system can give without swapping, within the limit of the group of processes that this one is in.
fn host_bytes() -> Option<u64> {
    let mut system = System::new();
    system.refresh_memory();
    let own = Pid::from_u32(std::process::id());
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[own]), true, ProcessRefreshKind::nothing());
    let limits = system.process(own).and_then(|process| process.cgroup_limits());
    // Files that are cached there are given up when room is needed.
    let group =
        limits.or_else(|| system.cgroup_limits()).map(|group| group.total_memory.saturating_sub(group.rss));
    let free = Some(system.available_memory()).filter(|&bytes| bytes > 0);
    free.into_iter().chain(group).min()
}

fn device_room(device: &Target) -> DeviceRoom {
    match device {
        Target::Cpu | Target::Ndarray => DeviceRoom::Unknown,
        Target::Wgpu(id) | Target::Vulkan(id) | Target::Metal(id) => match id.kind {
            AdapterKind::Integrated | AdapterKind::Software => DeviceRoom::Shared,
            _ => device_memory_bytes(id).map_or(DeviceRoom::Unknown, DeviceRoom::Own),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_that_of_the_memory_the_networks_work_in() {
        let limit = Some(MemoryLimit::Bytes(5));
        assert_eq!(room(&Target::Cpu, limit).host, Some(5));
        assert_eq!(room(&Target::Cpu, Some(MemoryLimit::None)), Room::default());
    }

    #[test]
    fn this_machine_has_memory() {
        assert!(host_bytes().is_some_and(|bytes| bytes > 1 << 20));
    }
}
