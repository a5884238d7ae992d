//! How much memory a run takes, said before anything is loaded.
//!
//! [`MemoryPlan`] adds up what lives at the same time in each phase, from configurations, shapes and dtypes.
//! [`Question::settle`] chooses the placement that fits a machine, or refuses and says what would fit.

mod choice;
mod phases;
mod room;
mod stay;
mod ways;

use std::{
    fmt,
    ops::{Add, AddAssign},
};

use burn::tensor::{DType, FloatDType};
use serde::Serialize;
use wan_import::{Checkpoint, DtypePolicy, Quant};
use wan_kernels::DeviceKind;
use wan_model::VaeMemory;

use crate::{Phase, PipelineError, Plan};
pub use choice::{Offload, Question, Settled, VaeTiling, Wish};
pub use room::{DeviceRoom, Room, Shortage};
pub use stay::Stay;

/// Where the parts of a run are held, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placement {
    /// Of matmul inputs and weights; residual stream, norms and scheduler stay f32.
    pub dtype: FloatDType,
    /// In how many bits the transformer's large layers are held, if in fewer.
    pub quant: Option<Quant>,
    /// Whether the transformer's blocks stay on the host, or on the host itself in their file, and follow one by one in
    /// every pass.
    pub stream_blocks: bool,
    /// What the VAE holds while it works.
    pub vae_memory: VaeMemory,
    /// Blocks whose camera modulation is computed once instead of in every pass.
    pub camera_blocks: usize,
}

impl Default for Placement {
    /// In f32, with all weights of a component where it works.
    fn default() -> Self {
        let (quant, stream_blocks, vae_memory) = (None, false, VaeMemory::default());
        Self { dtype: FloatDType::F32, quant, stream_blocks, vae_memory, camera_blocks: 0 }
    }
}

impl Placement {
    /// How the transformer's weights are loaded on a device that has f16 or has not.
    pub(crate) fn policy(&self, half_scales: bool) -> DtypePolicy {
        let streamed = self.stream_blocks;
        DtypePolicy { quant: self.quant, half_scales, streamed, ..DtypePolicy::float(self.dtype) }
    }

    fn value_bytes(&self) -> usize {
        DType::from(self.dtype).size()
    }
}

/// The device a run is planned for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    pub kind: DeviceKind,
    /// Whether it computes in f16.
    pub half: bool,
    /// Largest tensor.
    pub largest_tensor: u64,
    /// Threads of the host.
    pub threads: usize,
}

/// Bytes in each kind of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Bytes {
    /// Of the host, to be had back from the run alone.
    pub host: u64,
    /// Weights that the host reads out of their mapped files: resident, but the system may take the room back and read
    /// them again.
    pub mapped: u64,
    /// Of a graphics adapter.
    pub device: u64,
}

impl Bytes {
    /// Of the host, mapped files too.
    pub fn resident(self) -> u64 {
        self.host + self.mapped
    }

    fn most(self, other: Self) -> Self {
        Self {
            host: self.host.max(other.host),
            mapped: self.mapped.max(other.mapped),
            device: self.device.max(other.device),
        }
    }
}

impl Add for Bytes {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            host: self.host + other.host,
            mapped: self.mapped + other.mapped,
            device: self.device + other.device,
        }
    }
}

impl AddAssign for Bytes {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// What bytes are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Those of the network at work.
    Weights,
    /// Whatever is held only while weights, or a tokenizer, are made ready.
    Loading,
    /// Latents, the solver's memory, and what the network is told.
    Conditions,
    Activations,
    /// What the host's allocator keeps of activations that are gone.
    Idle,
    /// What attention holds beyond its operands.
    AttentionWorkspace,
    /// Modulations of a camera path that are kept for all passes.
    CameraCache,
    /// The frames that the autoencoder's convolutions look back at.
    VaeHistories,
    /// Decoded frames on their way to a file.
    Frames,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Weights => "weights",
            Self::Loading => "loading",
            Self::Conditions => "latents, conditions",
            Self::Activations => "activations",
            Self::Idle => "kept by the allocator",
            Self::AttentionWorkspace => "attention workspace",
            Self::CameraCache => "camera cache",
            Self::VaeHistories => "VAE histories",
            Self::Frames => "frames",
        })
    }
}

/// The most that one phase holds at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PhaseBytes {
    pub phase: Phase,
    /// Together at the phase's peak; parts without bytes are left out.
    pub parts: Vec<PartBytes>,
}

/// The bytes of one part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PartBytes {
    pub part: Part,
    #[serde(flatten)]
    pub bytes: Bytes,
}

impl PhaseBytes {
    fn new(phase: Phase) -> Self {
        Self { phase, parts: Vec::new() }
    }

    fn with(mut self, part: Part, bytes: Bytes) -> Self {
        if bytes != Bytes::default() {
            self.parts.push(PartBytes { part, bytes });
        }
        self
    }

    /// Of all parts.
    pub fn total(&self) -> Bytes {
        self.parts.iter().fold(Bytes::default(), |sum, part| sum + part.bytes)
    }
}

/// What a run will hold, phase by phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemoryPlan {
    /// In the order of the run. Of two transformers, the one that takes more.
    pub phases: Vec<PhaseBytes>,
    /// The process itself, in every phase: code, threads, the device's driver.
    pub overhead: Bytes,
}

impl MemoryPlan {
    /// Of `plan` in `placement` on `machine`. Reads no weights.
    ///
    /// # Errors
    /// [`PipelineError::Import`] for a checkpoint whose tensors are not those of its networks.
    pub fn of(
        checkpoint: &Checkpoint,
        plan: &Plan,
        placement: &Placement,
        machine: &Machine,
    ) -> Result<Self, PipelineError> {
        phases::Budget { checkpoint, plan, placement, machine }.add_up()
    }

    /// The most bytes of each kind at any time.
    pub fn peak(&self) -> Bytes {
        let phases = self.phases.iter().map(PhaseBytes::total);
        self.overhead + phases.fold(Bytes::default(), Bytes::most)
    }

    /// The largest resident set at any time.
    pub fn resident(&self) -> u64 {
        let phases = self.phases.iter().map(|phase| phase.total().resident());
        self.overhead.resident() + phases.max().unwrap_or(0)
    }

    /// The phase that holds most by some measure.
    pub(crate) fn largest(&self, measure: impl Fn(Bytes) -> u64) -> Option<Phase> {
        self.phases.iter().max_by_key(|phase| measure(phase.total())).map(|phase| phase.phase)
    }
}
