//! The devices of this machine, and which of them a request gets.

mod probe;

use std::{fmt, str::FromStr};

use burn::tensor::{Device, DeviceKind};
use serde::{Deserialize, Serialize};

use crate::Failure;

pub use probe::{adapters, memory_bytes as device_memory_bytes};

/// The `--device` flag. An index counts the adapters of `wan devices`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum DeviceChoice {
    #[default]
    Auto,
    Cpu,
    Ndarray,
    Wgpu(Option<usize>),
    Vulkan(Option<usize>),
    Metal,
}

/// The `--device` flag where it may name several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceChoices {
    One(DeviceChoice),
    /// The fast host path and every adapter.
    All,
}

/// A device that a job can run on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The fast host path.
    Cpu,
    /// The reference host path.
    Ndarray,
    /// An adapter through the portable shader compiler.
    Wgpu(AdapterId),
    /// An adapter through SPIR-V.
    Vulkan(AdapterId),
    /// An adapter through MSL.
    Metal(AdapterId),
}

/// Names one adapter the way the GPU stack counts them: by kind, then in order of enumeration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterId {
    pub name: String,
    pub kind: AdapterKind,
    /// Position among the adapters of the same kind and graphics interface.
    pub ordinal: usize,
    /// Its name and version.
    pub driver: String,
}

/// What an adapter is. The order is the order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AdapterKind {
    Discrete,
    Integrated,
    Virtual,
    /// The driver does not say.
    Other,
    /// A rasteriser on the host.
    Software,
}

/// One adapter with the limits that decide what runs on it.
#[derive(Clone, Debug, Serialize)]
pub struct Adapter {
    /// What `--device` takes; `None` if the adapter is reached under another name.
    pub device: Option<String>,
    pub name: String,
    pub backend: String,
    #[serde(rename = "type")]
    pub kind: AdapterKind,
    #[serde(skip)]
    pub ordinal: usize,
    pub driver: String,
    pub max_buffer_bytes: u64,
    pub max_storage_binding_bytes: u64,
    pub workgroup_memory_bytes: u32,
    pub invocations_per_workgroup: u32,
    pub storage_buffers_per_stage: u32,
    pub f16: bool,
    /// Not expressible in the portable shading language.
    pub bf16: bool,
    pub matrix_units: bool,
    /// Runs kernels compiled to SPIR-V, in a build that makes them.
    pub spirv: bool,
}

impl Adapter {
    fn id(&self) -> AdapterId {
        let (name, driver) = (self.name.clone(), self.driver.clone());
        AdapterId { name, kind: self.kind, ordinal: self.ordinal, driver }
    }
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, index) = match text.split_once(':') {
            Some((name, index)) => {
                (name, Some(index.parse().map_err(|_| format!("{index} is not an index"))?))
            }
            None => (text, None),
        };
        match (name, index) {
            ("auto", None) => Ok(Self::Auto),
            ("cpu", None) => Ok(Self::Cpu),
            ("ndarray", None) => Ok(Self::Ndarray),
            ("metal", None) => Ok(Self::Metal),
            ("wgpu", index) => Ok(Self::Wgpu(index)),
            ("vulkan", index) => Ok(Self::Vulkan(index)),
            _ => Err("expected auto, cpu, ndarray, wgpu[:I], vulkan[:I] or metal".to_owned()),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Ndarray => f.write_str("ndarray"),
            Self::Metal => f.write_str("metal"),
            Self::Wgpu(None) => f.write_str("wgpu"),
            Self::Vulkan(None) => f.write_str("vulkan"),
            Self::Wgpu(Some(index)) => write!(f, "wgpu:{index}"),
            Self::Vulkan(Some(index)) => write!(f, "vulkan:{index}"),
        }
    }
}

impl From<DeviceChoice> for String {
    fn from(choice: DeviceChoice) -> Self {
        choice.to_string()
    }
}

impl TryFrom<String> for DeviceChoice {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for DeviceChoices {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self::All),
            _ => text.parse().map(Self::One).map_err(|error| format!("{error}, or all")),
        }
    }
}

impl Target {
    /// What besides the kernels decides how they compute: the adapter's driver, or the host's instructions.
    pub fn driver(&self) -> String {
        match self {
            Self::Cpu | Self::Ndarray => instructions(),
            Self::Wgpu(id) | Self::Vulkan(id) | Self::Metal(id) => id.driver.clone(),
        }
    }

    /// The device, in words for people.
    pub fn describe(&self) -> String {
        match self {
            Self::Cpu => "cpu".to_owned(),
            Self::Ndarray => "ndarray".to_owned(),
            Self::Wgpu(id) => format!("wgpu: {}", id.name),
            Self::Vulkan(id) => format!("vulkan: {}", id.name),
            Self::Metal(id) => format!("metal: {}", id.name),
        }
    }

    /// Whether it is an adapter that is not a rasteriser on the host.
    pub fn is_graphics_card(&self) -> bool {
        match self {
            Self::Cpu | Self::Ndarray => false,
            Self::Wgpu(id) | Self::Vulkan(id) | Self::Metal(id) => id.kind != AdapterKind::Software,
        }
    }

    /// Whether it is no host device.
    pub fn is_adapter(&self) -> bool {
        !matches!(self, Self::Cpu | Self::Ndarray)
    }

    /// Opens the device.
    pub fn open(&self) -> Device {
        match self {
            Self::Cpu => Device::flex(),
            #[allow(deprecated, reason = "the reference path, for as long as the pinned release has it")]
            Self::Ndarray => Device::ndarray(),
            Self::Wgpu(id) => Device::wgpu(id.device_kind()),
            #[cfg(feature = "vulkan")]
            Self::Vulkan(id) => Device::vulkan(id.device_kind()),
            #[cfg(target_os = "macos")]
            Self::Metal(id) => Device::metal(id.device_kind()),
            // Refused by `resolve` in builds without the native compiler.
            #[allow(unreachable_patterns)]
            Self::Vulkan(id) | Self::Metal(id) => Device::wgpu(id.device_kind()),
        }
    }
}

impl AdapterId {
    fn device_kind(&self) -> DeviceKind {
        match self.kind {
            AdapterKind::Discrete => DeviceKind::DiscreteGpu(self.ordinal),
            AdapterKind::Integrated => DeviceKind::IntegratedGpu(self.ordinal),
            AdapterKind::Virtual => DeviceKind::VirtualGpu(self.ordinal),
            AdapterKind::Software => DeviceKind::Cpu,
            AdapterKind::Other => DeviceKind::DefaultDevice,
        }
    }
}

/// Devices as requests name them; the machine is asked for its adapters once, and only if one is wanted.
#[derive(Default)]
pub struct Devices(Option<Vec<Adapter>>);

impl Devices {
    /// As [`resolve`].
    pub fn resolve(&mut self, choice: DeviceChoice) -> Result<Target, Failure> {
        match choice {
            DeviceChoice::Cpu | DeviceChoice::Ndarray => resolve(choice, &[]),
            _ => resolve(choice, self.0.get_or_insert_with(adapters)),
        }
    }
}

/// The device for a request: the named one, or for `auto` the best of `adapters`.
pub fn resolve(choice: DeviceChoice, adapters: &[Adapter]) -> Result<Target, Failure> {
    match choice {
        DeviceChoice::Auto => Ok(automatic(adapters)),
        DeviceChoice::Cpu => Ok(Target::Cpu),
        DeviceChoice::Ndarray => Ok(Target::Ndarray),
        DeviceChoice::Wgpu(index) => Ok(Target::Wgpu(pick(&portable(adapters), index, "wgpu")?)),
        DeviceChoice::Vulkan(index) if cfg!(feature = "vulkan") => {
            Ok(Target::Vulkan(pick(&on(adapters, "vulkan"), index, "vulkan")?))
        }
        DeviceChoice::Metal if cfg!(target_os = "macos") => {
            Ok(Target::Metal(pick(&on(adapters, "metal"), None, "metal")?))
        }
        DeviceChoice::Vulkan(_) => Err(not_built("vulkan", "the feature `vulkan`")),
        DeviceChoice::Metal => Err(not_built("metal", "macOS")),
    }
}

/// Discrete before integrated before virtual adapters, and the host before a software one.
pub fn automatic(adapters: &[Adapter]) -> Target {
    match best(&portable(adapters)) {
        Some(adapter) if adapter.kind != AdapterKind::Software && check_compiler(adapter).is_ok() => {
            Target::Wgpu(adapter.id())
        }
        _ => Target::Cpu,
    }
}

/// The devices for a request that may name several. Adapters that this build cannot use are left out of all.
pub fn resolve_all(choices: DeviceChoices) -> Result<Vec<Target>, Failure> {
    match choices {
        DeviceChoices::One(choice @ (DeviceChoice::Cpu | DeviceChoice::Ndarray)) => {
            Ok(vec![resolve(choice, &[])?])
        }
        DeviceChoices::One(choice) => Ok(vec![resolve(choice, &adapters())?]),
        DeviceChoices::All => {
            let found = adapters();
            let each = (0..portable(&found).len()).map(|index| DeviceChoice::Wgpu(Some(index)));
            let usable = each.filter_map(|choice| resolve(choice, &found).ok());
            Ok(std::iter::once(Target::Cpu).chain(usable).collect())
        }
    }
}

/// The host's architecture and widest vector instructions.
fn instructions() -> String {
    let architecture = std::env::consts::ARCH;
    #[cfg(target_arch = "x86_64")]
    let widest = match (is_x86_feature_detected!("avx512f"), is_x86_feature_detected!("avx2")) {
        (true, _) => Some("AVX-512"),
        (false, true) => Some("AVX2"),
        (false, false) => None,
    };
    #[cfg(not(target_arch = "x86_64"))]
    let widest: Option<&str> = None;
    widest.map_or_else(|| architecture.to_owned(), |widest| format!("{architecture} with {widest}"))
}

/// The adapters that `wgpu:I` counts.
fn portable(adapters: &[Adapter]) -> Vec<&Adapter> {
    adapters.iter().filter(|a| a.device.is_some()).collect()
}

fn on<'a>(adapters: &'a [Adapter], backend: &str) -> Vec<&'a Adapter> {
    adapters.iter().filter(|a| a.backend == backend).collect()
}

fn best<'a>(adapters: &[&'a Adapter]) -> Option<&'a Adapter> {
    // The first of equals, as listed.
    adapters.iter().copied().min_by_key(|a| a.kind)
}

/// A build with SPIR-V uses it for every Vulkan adapter, also behind `--device wgpu`.
fn check_compiler(adapter: &Adapter) -> Result<(), Failure> {
    if cfg!(not(feature = "vulkan")) || adapter.backend != "vulkan" || adapter.spirv {
        return Ok(());
    }
    Err(Failure::usage(
        format!("{} lacks VK_KHR_workgroup_memory_explicit_layout, which SPIR-V kernels need", adapter.name),
        "use --device cpu, or a build without the feature `vulkan`",
    ))
}

fn pick(adapters: &[&Adapter], index: Option<usize>, flag: &str) -> Result<AdapterId, Failure> {
    let found = match index {
        Some(index) => adapters.get(index).copied(),
        None => best(adapters),
    };
    let wanted = index.map_or_else(|| flag.to_owned(), |index| format!("{flag}:{index}"));
    let found = found.ok_or_else(|| {
        Failure::usage(
            format!("no adapter for {wanted}: {} found", adapters.len()),
            "see `wan devices`, or use --device cpu",
        )
    })?;
    check_compiler(found)?;
    Ok(found.id())
}

fn not_built(flag: &str, what: &str) -> Failure {
    Failure::usage(
        format!("--device {flag} needs a build with {what}"),
        "use --device wgpu, which any adapter runs",
    )
}
