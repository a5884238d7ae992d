//! Asks the graphics interfaces of this machine for their adapters.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use super::{Adapter, AdapterId, AdapterKind};

/// Graphics interfaces in the order in which the portable compiler tries them.
const INTERFACES: &[wgpu::Backend] = if cfg!(target_os = "macos") {
    &[wgpu::Backend::Metal]
} else {
    &[wgpu::Backend::Vulkan, wgpu::Backend::Dx12, wgpu::Backend::Gl]
};

/// Every adapter, those of the interface that `wgpu` settles on first and with a name for `--device`.
pub fn adapters() -> Vec<Adapter> {
    let mut groups: Vec<_> = INTERFACES.iter().map(|&i| on_interface(i)).filter(|g| !g.is_empty()).collect();
    // The first interface with a real adapter; failing that, the first with any.
    let real = groups.iter().position(|g| g.iter().any(|a| a.kind != AdapterKind::Software));
    if let Some(settled) = real.or((!groups.is_empty()).then_some(0)) {
        groups[..=settled].rotate_right(1);
        name(&mut groups[0]);
    }
    groups.into_iter().flatten().collect()
}

fn name(adapters: &mut [Adapter]) {
    for (index, adapter) in adapters.iter_mut().enumerate() {
        adapter.device = Some(format!("wgpu:{index}"));
    }
}

fn on_interface(interface: wgpu::Backend) -> Vec<Adapter> {
    // Without any interface in the build, making an instance panics.
    if !wgpu::Instance::enabled_backend_features().contains(interface.into()) {
        return Vec::new();
    }
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: interface.into(),
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let found = wait(instance.enumerate_adapters(interface.into()));
    let mut adapters: Vec<Adapter> = found.iter().map(describe).collect();
    for i in 0..adapters.len() {
        adapters[i].ordinal = adapters[..i].iter().filter(|a| a.kind == adapters[i].kind).count();
    }
    adapters
}

fn describe(adapter: &wgpu::Adapter) -> Adapter {
    let (info, limits, features) = (adapter.get_info(), adapter.limits(), adapter.features());
    Adapter {
        device: None,
        name: info.name,
        backend: info.backend.to_str().to_owned(),
        kind: kind(info.device_type),
        ordinal: 0,
        driver: [info.driver, info.driver_info].join(" ").trim().to_owned(),
        max_buffer_bytes: limits.max_buffer_size,
        max_storage_binding_bytes: limits.max_storage_buffer_binding_size,
        workgroup_memory_bytes: limits.max_compute_workgroup_storage_size,
        invocations_per_workgroup: limits.max_compute_invocations_per_workgroup,
        storage_buffers_per_stage: limits.max_storage_buffers_per_shader_stage,
        f16: features.contains(wgpu::Features::SHADER_F16),
        bf16: false,
        matrix_units: features.contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX)
            && !adapter.cooperative_matrix_properties().is_empty(),
        spirv: spirv(adapter),
    }
}

/// The largest memory of an adapter's own, where its driver tells.
#[cfg(not(target_os = "macos"))]
pub fn memory_bytes(id: &AdapterId) -> Option<u64> {
    let interface = wgpu::Backend::Vulkan;
    if !wgpu::Instance::enabled_backend_features().contains(interface.into()) {
        return None;
    }
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: interface.into(),
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let found = wait(instance.enumerate_adapters(interface.into()));
    let adapter =
        found.iter().filter(|adapter| kind(adapter.get_info().device_type) == id.kind).nth(id.ordinal)?;
    // SAFETY: the adapter is only asked for its properties; the guard is dropped here.
    let vulkan = unsafe { adapter.as_hal::<wgpu::hal::api::Vulkan>() }?;
    let device = vulkan.raw_physical_device();
    // SAFETY: the device is that of the instance, and both live as long as the guard.
    let memory =
        unsafe { vulkan.shared_instance().raw_instance().get_physical_device_memory_properties(device) };
    // Bit 0 of a heap's flags: it is the device's own.
    let own = memory.memory_heaps_as_slice().iter().filter(|heap| heap.flags.as_raw() & 1 == 1);
    own.map(|heap| heap.size).max()
}

#[cfg(target_os = "macos")]
pub fn memory_bytes(_: &AdapterId) -> Option<u64> {
    None
}

/// Without explicitly laid out workgroup memory, compiled kernels that share memory crash some drivers.
#[cfg(feature = "vulkan")]
fn spirv(adapter: &wgpu::Adapter) -> bool {
    // SAFETY: the adapter is only asked for its extensions; the guard is dropped here.
    let vulkan = unsafe { adapter.as_hal::<wgpu::hal::api::Vulkan>() };
    vulkan.is_some_and(|adapter| {
        adapter.physical_device_capabilities().supports_extension(c"VK_KHR_workgroup_memory_explicit_layout")
    })
}

#[cfg(not(feature = "vulkan"))]
fn spirv(_: &wgpu::Adapter) -> bool {
    false
}

fn kind(device_type: wgpu::DeviceType) -> AdapterKind {
    match device_type {
        wgpu::DeviceType::DiscreteGpu => AdapterKind::Discrete,
        wgpu::DeviceType::IntegratedGpu => AdapterKind::Integrated,
        wgpu::DeviceType::VirtualGpu => AdapterKind::Virtual,
        wgpu::DeviceType::Cpu => AdapterKind::Software,
        wgpu::DeviceType::Other => AdapterKind::Other,
    }
}

/// Polls until done; the native interfaces answer at the first poll.
fn wait<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::yield_now(),
        }
    }
}
