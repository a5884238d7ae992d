//! From definitions to the text or words a driver takes.

use cubecl::wgpu::WgslCompiler;
use cubecl::{Compiler, VulkanCompilationOptions, WgpuCompilationOptions, prelude::KernelDefinition};
use cubecl_cpp::{MslCompiler, shared::CompilationOptions};
use cubecl_spirv::SpirvCompiler;
use naga::{
    Module,
    valid::{Capabilities, ModuleInfo, ValidationFlags, Validator},
};

use crate::adapters::Adapter;

/// MSL, and the bytes of threadgroup memory its compiler counts.
pub fn msl(definition: KernelDefinition) -> Result<(String, usize), String> {
    let kernel = MslCompiler::default().compile(definition, &CompilationOptions::default());
    kernel.map(|kernel| (kernel.source, kernel.shared_memory_size)).map_err(|error| error.to_string())
}

/// WGSL, and the bytes of workgroup memory its compiler counts.
pub fn wgsl(definition: KernelDefinition) -> Result<(String, usize), String> {
    let shader = WgslCompiler.compile(definition, &WgpuCompilationOptions::default());
    shader.map(|shader| (shader.to_string(), shader.shared_memory_size)).map_err(|error| error.to_string())
}

/// SPIR-V, and the bytes of workgroup memory its compiler counts.
pub fn spirv(definition: KernelDefinition, adapter: &Adapter) -> Result<(Vec<u32>, usize), String> {
    let kernel = SpirvCompiler.compile(definition, &vulkan(adapter));
    kernel.map(|kernel| (kernel.assembled_module, kernel.shared_size)).map_err(|error| error.to_string())
}

/// What Vulkan 1.3 and the adapter offer, as cubecl-wgpu asks for it.
fn vulkan(adapter: &Adapter) -> WgpuCompilationOptions {
    let vulkan = VulkanCompilationOptions {
        supports_explicit_smem: adapter.explicit_layout,
        supports_uniform_standard_layout: true,
        max_spirv_version: (1, 6),
        max_vector_size: 4,
        // What Vulkan guarantees.
        push_constant_size: 128,
        ..Default::default()
    };
    WgpuCompilationOptions {
        supports_u64: true,
        supports_vulkan_compiler: true,
        vulkan,
        ..Default::default()
    }
}

/// WGSL as naga understands it, if it is valid where f16 is the only extension.
pub fn naga_module(wgsl: &str) -> Result<(Module, ModuleInfo), String> {
    let module = naga::front::wgsl::parse_str(wgsl).map_err(|error| error.emit_to_string(wgsl))?;
    let info = Validator::new(ValidationFlags::all(), Capabilities::SHADER_FLOAT16)
        .validate(&module)
        .map_err(|error| error.emit_to_string(wgsl))?;
    Ok((module, info))
}

/// MSL from WGSL: what Macs without MSL 3.2 run.
pub fn naga_msl((module, info): &(Module, ModuleInfo)) -> Result<String, String> {
    let options = naga::back::msl::Options {
        lang_version: (2, 4),
        zero_initialize_workgroup_memory: false,
        force_loop_bounding: false,
        ..Default::default()
    };
    let text = naga::back::msl::write_string(module, info, &options, &Default::default());
    text.map(|(text, _)| text).map_err(|error| error.to_string())
}

/// SPIR-V from WGSL: what Vulkan adapters run without the feature `vulkan`.
pub fn naga_spirv((module, info): &(Module, ModuleInfo)) -> Result<Vec<u32>, String> {
    let options =
        naga::back::spv::Options { lang_version: (1, 3), force_loop_bounding: false, ..Default::default() };
    naga::back::spv::write_vec(module, info, &options, None).map_err(|error| error.to_string())
}
