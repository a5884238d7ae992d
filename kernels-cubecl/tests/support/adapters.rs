//! Graphics adapters without the adapters: what CubeCL would know of each, by the language its kernels are written in.

use cubecl::{
    features::{MmaConfig, Plane, TypeUsage},
    ir::{
        AddressType, DeviceIdentity, DeviceProperties, ElemType, FloatKind, HardwareProperties, IntKind,
        MemoryDeviceProperties, UIntKind,
    },
    profile::TimingMethod,
};

/// What kernels are compiled to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Read by naga on every system. CubeCL offers neither matrices nor bf16 in it.
    Wgsl,
    /// Given to Vulkan as it is; feature `vulkan`.
    SpirV,
    /// Given to Metal as it is; macOS 15 or later, older ones take WGSL.
    Msl,
}

/// A language an adapter takes, and what attention runs as in it.
#[derive(Clone, Copy, Debug)]
pub struct Road {
    pub language: Language,
    /// Edge of the square matrices of f16 with sums in f32 that are offered.
    pub offered: Option<u32>,
    /// Edge of those that attention in f16 with heads of 128 uses; `None`: the form for any adapter.
    pub used: Option<u32>,
}

/// Limits of an adapter, as wgpu reports them.
#[derive(Clone, Copy, Debug)]
pub struct Adapter {
    pub name: &'static str,
    /// Of one cube.
    pub shared_memory_bytes: usize,
    /// Of one cube.
    pub units: u32,
    /// Smallest and largest.
    pub plane_size: (u32, u32),
    /// Of one shader stage.
    pub storage_buffers: u32,
    pub binding_bytes: u64,
    /// No card.
    pub software: bool,
    /// Vulkan lets shared memory be laid out explicitly, which CubeCL's SPIR-V needs to be valid.
    pub explicit_layout: bool,
    pub roads: &'static [Road],
}

const WGSL: Road = Road { language: Language::Wgsl, offered: None, used: None };
const MSL: Road = Road { language: Language::Msl, offered: Some(8), used: Some(8) };

/// Apple M1 and M4, a discrete NVIDIA, an integrated AMD and Mesa's software rasteriser.
pub const ADAPTERS: [Adapter; 5] = [
    // Metal feature set tables, families Apple7 (M1) and Apple9 (M4): 32 KB of threadgroup memory, 1,024 threads in a
    // threadgroup, SIMD-scoped matrix multiplication from Apple7 on. SIMD groups hold 32 threads. wgpu-hal keeps two
    // of Metal's 31 buffers for itself. A buffer may take about half the memory, here of 8 and 16 GB.
    Adapter {
        name: "Apple M1",
        shared_memory_bytes: 32_768,
        units: 1024,
        plane_size: (32, 32),
        storage_buffers: 29,
        binding_bytes: 4 << 30,
        software: false,
        explicit_layout: false,
        roads: &[MSL, WGSL],
    },
    Adapter {
        name: "Apple M4",
        shared_memory_bytes: 32_768,
        units: 1024,
        plane_size: (32, 32),
        storage_buffers: 29,
        binding_bytes: 8 << 30,
        software: false,
        explicit_layout: false,
        roads: &[MSL, WGSL],
    },
    // Published vulkaninfo reports of GeForce cards: 48 KB of shared memory, 1,024 invocations, warps of 32. Matrices of
    // 16 x 16 x 16 of f16 with sums in f32 and an explicit layout are assumed of cards with tensor cores.
    Adapter {
        name: "NVIDIA RTX 4070",
        shared_memory_bytes: 49_152,
        units: 1024,
        plane_size: (32, 32),
        storage_buffers: 1_048_576,
        binding_bytes: (4 << 30) - 1,
        software: false,
        explicit_layout: true,
        roads: &[Road { language: Language::SpirV, offered: Some(16), used: Some(16) }, WGSL],
    },
    // Published vulkaninfo reports of RDNA chips: 64 KB of shared memory, waves of 32 or 64 as the compiler likes.
    // Matrices of 16 are assumed of RDNA3; a kernel that must know the size of its planes cannot use them.
    Adapter {
        name: "AMD Radeon 780M",
        shared_memory_bytes: 65_536,
        units: 1024,
        plane_size: (32, 64),
        storage_buffers: 8_388_606,
        binding_bytes: (4 << 30) - 1,
        software: false,
        explicit_layout: true,
        roads: &[Road { language: Language::SpirV, offered: Some(16), used: None }, WGSL],
    },
    // vulkaninfo of Mesa 22.3: 32 KB of shared memory, planes of 8, 128 MiB per binding, no explicit layout.
    Adapter {
        name: "llvmpipe",
        shared_memory_bytes: 32_768,
        units: 1024,
        plane_size: (8, 8),
        storage_buffers: 32,
        binding_bytes: 128 << 20,
        software: true,
        explicit_layout: false,
        roads: &[Road { language: Language::SpirV, offered: None, used: None }, WGSL],
    },
];

impl Adapter {
    /// As cubecl-wgpu would fill them in on this road; without the types our kernels do not use.
    pub fn properties(&self, road: Road) -> DeviceProperties {
        let identity = DeviceIdentity {
            name: self.name.to_owned(),
            physical: (!self.software).then(Default::default),
            ..Default::default()
        };
        let memory = MemoryDeviceProperties::new(self.binding_bytes, 256);
        let mut properties = DeviceProperties::new(
            Default::default(),
            memory,
            self.hardware(),
            TimingMethod::System,
            identity,
        );
        properties.register_address_type(AddressType::U32);
        for elem in types(road.language) {
            properties.register_type_usage(elem, TypeUsage::all());
        }
        if !self.software {
            properties.features.plane.insert(Plane::Ops);
        }
        properties.features.alignment = road.language == Language::Msl;
        if let Some(edge) = road.offered {
            let (half, single) = (ElemType::Float(FloatKind::F16), ElemType::Float(FloatKind::F32));
            let (m, n, k) = (edge, edge, edge);
            properties.features.matmul.cmma.insert(MmaConfig {
                a_type: half,
                b_type: half,
                cd_type: single,
                m,
                n,
                k,
            });
        }
        properties
    }

    fn hardware(&self) -> HardwareProperties {
        HardwareProperties {
            load_width: 128,
            vector_register_count: None,
            plane_size_min: self.plane_size.0,
            plane_size_max: self.plane_size.1,
            // One is wgpu's own.
            max_bindings: self.storage_buffers - 1,
            max_shared_memory_size: self.shared_memory_bytes,
            max_cube_count: (65_535, 65_535, 65_535),
            max_units_per_cube: self.units,
            max_cube_dim: (self.units, self.units, 64),
            num_streaming_multiprocessors: None,
            num_tensor_cores: None,
            min_tensor_cores_dim: None,
            num_cpu_cores: None,
            last_level_cache_size: None,
            max_vector_size: 4,
            cube_mma_reserved_shared_memory: 0,
        }
    }
}

/// What may be stored, converted and computed with.
fn types(language: Language) -> Vec<ElemType> {
    let mut types = vec![
        ElemType::Index,
        ElemType::UInt(UIntKind::U32),
        ElemType::Int(IntKind::I32),
        ElemType::Float(FloatKind::F32),
        ElemType::Float(FloatKind::F16),
        ElemType::Bool,
    ];
    if language == Language::Msl {
        types.push(ElemType::Float(FloatKind::BF16));
    }
    types
}
