//! What a device can do, asked of it once.

use std::sync::{Arc, PoisonError, RwLock};

use burn::{
    backend::DispatchDevice,
    tensor::{DType, Device},
};
use cubecl::{
    features::{Plane, TypeUsage},
    ir::{DeviceProperties, ElemType, FloatKind},
};

/// Which family of implementations a device can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceKind {
    /// Any CubeCL runtime: wgpu on Vulkan, Metal, DirectX or WebGPU, and the like.
    Cube,
    /// burn-flex, the fast backend for the CPU.
    Flex,
    /// Any other backend, burn-ndarray among them: references only.
    Other,
}

/// One product `[m, k] x [k, n]` that a plane's matrix unit computes at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MatrixTile {
    pub m: u32,
    pub n: u32,
    pub k: u32,
    /// Dtype of both factors.
    pub input: DType,
    pub accumulator: DType,
}

/// Limits and abilities of a device. Host backends have no limits and none of the abilities of a CubeCL device.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceCaps {
    pub kind: DeviceKind,
    /// The device as it names itself; for people only.
    pub name: Arc<str>,
    /// The runtime and its shader language, such as `wgpu<wgsl>`, `wgpu<spirv>` or `wgpu<msl>`.
    pub runtime: Arc<str>,
    /// A software rasteriser: good for correctness, never for speed.
    pub software: bool,
    /// Largest storage binding, which is also the largest tensor.
    pub max_binding_bytes: u64,
    /// Storage buffers a kernel may take, tensor arguments and CubeCL's own metadata together.
    pub max_bindings: u32,
    /// Shared memory of one cube.
    pub shared_memory_bytes: usize,
    pub max_cube_count: [u32; 3],
    pub max_cube_dim: [u32; 3],
    pub max_units_per_cube: u32,
    /// Smallest and largest number of units in a plane; a kernel must be right for all between.
    pub plane_size: (u32, u32),
    /// Plane-wide sums, shuffles and votes may be used.
    pub plane_ops: bool,
    /// f16 may be stored, converted and computed with.
    pub f16: bool,
    /// bf16 may be stored, converted and computed with; never so in WGSL.
    pub bf16: bool,
    /// Cooperative (Vulkan) or simdgroup (Metal) matrices; empty without matrix units.
    pub matrix_tiles: Arc<[MatrixTile]>,
}

/// The answers so far: a process sees a handful of devices, so a list is searched faster than a map is hashed.
static KNOWN: RwLock<Vec<(Device, DeviceCaps)>> = RwLock::new(Vec::new());

impl DeviceCaps {
    /// Of `device`, from its driver on first use and from memory after that.
    pub fn of(device: &Device) -> Self {
        let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, caps)) = known.iter().find(|(known, _)| known == device) {
            return caps.clone();
        }
        drop(known);
        let caps = Self::ask(device);
        KNOWN.write().unwrap_or_else(PoisonError::into_inner).push((device.clone(), caps.clone()));
        caps
    }

    fn ask(device: &Device) -> Self {
        match device.as_dispatch() {
            DispatchDevice::Cube(cube) => {
                let client = cube.client();
                Self::from_properties(client.properties(), client.name())
            }
            DispatchDevice::Flex(_) => Self::host(DeviceKind::Flex, "flex"),
            _ => Self::host(DeviceKind::Other, "host"),
        }
    }

    fn host(kind: DeviceKind, name: &str) -> Self {
        Self {
            kind,
            name: name.into(),
            runtime: name.into(),
            software: true,
            max_binding_bytes: u64::MAX,
            max_bindings: u32::MAX,
            shared_memory_bytes: 0,
            max_cube_count: [u32::MAX; 3],
            max_cube_dim: [u32::MAX; 3],
            max_units_per_cube: u32::MAX,
            plane_size: (1, 1),
            plane_ops: false,
            f16: true,
            bf16: true,
            matrix_tiles: Arc::new([]),
        }
    }

    /// From what CubeCL knows of a device whose runtime calls itself `runtime`.
    pub fn from_properties(properties: &DeviceProperties, runtime: &str) -> Self {
        let hardware = &properties.hardware;
        let ((cx, cy, cz), (dx, dy, dz)) = (hardware.max_cube_count, hardware.max_cube_dim);
        Self {
            kind: DeviceKind::Cube,
            name: properties.identity.name.as_str().into(),
            runtime: runtime.into(),
            software: properties.identity.physical.is_none(),
            max_binding_bytes: properties.memory.max_page_size,
            max_bindings: hardware.max_bindings,
            shared_memory_bytes: hardware.max_shared_memory_size,
            max_cube_count: [cx, cy, cz],
            max_cube_dim: [dx, dy, dz],
            max_units_per_cube: hardware.max_units_per_cube,
            plane_size: (hardware.plane_size_min, hardware.plane_size_max),
            plane_ops: properties.features.plane.contains(Plane::Ops),
            f16: computes(properties, FloatKind::F16),
            bf16: computes(properties, FloatKind::BF16),
            matrix_tiles: matrix_tiles(properties),
        }
    }

    /// The edge of the largest square matrices, of 16 or 8, of f16 with sums in f32 that a plane multiplies at once.
    pub fn square_matrices(&self) -> Option<usize> {
        let offered = |edge: &u32| {
            let [m, n, k] = [*edge; 3];
            self.matrix_tiles.contains(&MatrixTile { m, n, k, input: DType::F16, accumulator: DType::F32 })
        };
        [16, 8].into_iter().find(offered).map(|edge| edge as usize)
    }

    /// Whether matrices may be loaded from words, which hold two halves each: in SPIR-V. Metal's know halves alone.
    pub fn loads_words(&self) -> bool {
        self.runtime.contains("spirv")
    }

    /// Whether own kernels may read and write tensors of `dtype`.
    pub fn handles(&self, dtype: DType) -> bool {
        match dtype {
            DType::F32 => true,
            DType::F16 => self.f16,
            DType::BF16 => self.bf16,
            _ => false,
        }
    }
}

fn computes(properties: &DeviceProperties, kind: FloatKind) -> bool {
    let needed = TypeUsage::Arithmetic | TypeUsage::Buffer | TypeUsage::Conversion;
    properties.type_usage(ElemType::Float(kind)).is_superset(needed)
}

fn matrix_tiles(properties: &DeviceProperties) -> Arc<[MatrixTile]> {
    let tile = |config: &cubecl::features::MmaConfig| {
        let (input, accumulator) = (float_dtype(config.a_type)?, float_dtype(config.cd_type)?);
        let tile = MatrixTile { m: config.m, n: config.n, k: config.k, input, accumulator };
        (config.a_type == config.b_type).then_some(tile)
    };
    properties.features.matmul.cmma.iter().filter_map(tile).collect()
}

fn float_dtype(elem: ElemType) -> Option<DType> {
    match elem {
        ElemType::Float(FloatKind::F32) => Some(DType::F32),
        ElemType::Float(FloatKind::F16) => Some(DType::F16),
        ElemType::Float(FloatKind::BF16) => Some(DType::BF16),
        _ => None,
    }
}
