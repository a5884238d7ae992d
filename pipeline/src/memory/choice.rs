//! The placement for a run on a machine: what the user settled stays, the rest is chosen.

use burn::tensor::FloatDType;
use serde::Serialize;
use wan_import::{Checkpoint, Quant};
use wan_kernels::DeviceKind;
use wan_model::{Tiling, VaeMemory};

use super::{Machine, MemoryPlan, Part, Placement, Room, Shortage, ways};
use crate::{GenerateRequest, Phase, PipelineError, Plan};

/// Room for modulations of a camera path where the memory there is is not known.
const UNKNOWN_CAMERA_ROOM: u64 = 1 << 30;
/// Of the room that a run leaves, the share that kept modulations may take.
const CAMERA_SHARE: u64 = 2;
/// How often tiles are halved in search of some that fit.
const HALVINGS: u32 = 6;

/// What waits on the host, or in its file, for its turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Offload {
    /// The least that lets the run fit.
    #[default]
    Auto,
    /// No part of a component at work, which is what [`Self::Model`] says too: components take turns.
    None,
    Model,
    /// The blocks of the transformer too.
    Block,
}

/// In which tiles the VAE works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VaeTiling {
    /// In none, unless a frame does not fit as a whole.
    #[default]
    Auto,
    Off,
    /// So many tiles over the height and over the width.
    Tiles([usize; 2]),
}

/// What the user settled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wish {
    pub dtype: FloatDType,
    pub quant: Option<Quant>,
    pub offload: Offload,
    /// Whether the VAE keeps f16.
    pub vae_half: bool,
    pub vae_tiling: VaeTiling,
}

/// A run that is to fit a machine.
pub struct Question<'a> {
    pub checkpoint: &'a Checkpoint,
    pub request: &'a GenerateRequest,
    pub wish: Wish,
    pub machine: Machine,
    pub room: Room,
}

/// The answer.
#[derive(Clone, Debug)]
pub struct Settled {
    pub plan: Plan,
    pub placement: Placement,
    pub memory: MemoryPlan,
    /// If the run takes more than a comfortable share of some memory.
    pub shortage: Option<Shortage>,
    /// Settings that would let it fit, as flags; empty unless it is far from fitting.
    pub ways: Vec<String>,
    /// What was chosen, a line each.
    pub notes: Vec<String>,
}

impl Settled {
    /// Refuses what is far from fitting.
    ///
    /// # Errors
    /// [`PipelineError::DoesNotFit`].
    pub fn check(&self) -> Result<(), PipelineError> {
        match self.shortage.filter(|shortage| !shortage.is_close()) {
            Some(shortage) => {
                let of =
                    |bytes: super::Bytes| if shortage.on_device { bytes.device } else { bytes.resident() };
                let phase = self.memory.largest(of).unwrap_or(Phase::Denoise);
                Err(PipelineError::DoesNotFit { shortage, phase, ways: self.ways.clone() })
            }
            None => Ok(()),
        }
    }
}

/// A placement and what it takes.
pub(super) struct Candidate {
    pub placement: Placement,
    pub memory: MemoryPlan,
    /// Whether mapped weights must stay resident.
    pub resident: bool,
}

impl Question<'_> {
    /// Chooses the placement, and says whether the run fits.
    ///
    /// # Errors
    /// Whatever [`GenerateRequest::plan`] and [`MemoryPlan::of`] find wrong.
    pub fn settle(&self) -> Result<Settled, PipelineError> {
        let plan = self.request.plan(self.checkpoint)?;
        let Candidate { placement, memory, resident } = self.best(&plan, &self.wish)?;
        let shortage = self.room.shortage(&memory, resident);
        let ways = match shortage.filter(|shortage| !shortage.is_close()) {
            Some(_) => ways::nearest(self, &plan)?,
            None => Vec::new(),
        };
        let notes = self.notes(&plan, &placement, &memory);
        Ok(Settled { plan, placement, memory, shortage, ways, notes })
    }

    /// The first placement that fits, or else the one that takes least.
    pub(super) fn best(&self, plan: &Plan, wish: &Wish) -> Result<Candidate, PipelineError> {
        let streams: &[bool] = match wish.offload {
            Offload::Auto => &[false, true],
            Offload::None | Offload::Model => &[false],
            Offload::Block => &[true],
        };
        let mut tried = Vec::new();
        for &stream in streams {
            let candidate = self.with_tiles(plan, wish, stream)?;
            if self.room.holds(&candidate.memory, candidate.resident) {
                return self.with_camera(plan, candidate);
            }
            tried.push(candidate);
        }
        let least = tried.into_iter().min_by_key(|tried| self.room.most_used(&tried.memory, tried.resident));
        least.ok_or(PipelineError::NoPrompt)
    }

    /// Whole frames, or the fewest tiles that fit.
    fn with_tiles(&self, plan: &Plan, wish: &Wish, stream: bool) -> Result<Candidate, PipelineError> {
        let size = [plan.latent.height, plan.latent.width];
        let config = &self.checkpoint.vae_config;
        let with = |tiling| self.candidate(plan, wish, stream, tiling);
        match wish.vae_tiling {
            VaeTiling::Off => return with(None),
            VaeTiling::Tiles(counts) => return with(Some(Tiling::of_counts(config, size, counts))),
            VaeTiling::Auto => {}
        }
        let bound = self.machine.largest_tensor;
        let whole = with(Tiling::for_budget(config, size, bound))?;
        let decode = whole.memory.phases.iter().find(|phase| phase.phase == Phase::Decode);
        let only = MemoryPlan { phases: decode.cloned().into_iter().collect(), ..whole.memory };
        if self.room.holds(&only, whole.resident) {
            return Ok(whole);
        }
        let largest = config.largest_tensor_bytes(size).min(bound);
        let tilings = (1..=HALVINGS).map(|halving| Tiling::for_budget(config, size, largest >> halving));
        let mut least = whole;
        for tiling in tilings {
            let tiled = with(tiling)?;
            if tiled.memory.resident() + tiled.memory.peak().device
                < least.memory.resident() + least.memory.peak().device
            {
                least = tiled;
            }
            if self.room.holds(&least.memory, least.resident) {
                break;
            }
        }
        Ok(least)
    }

    fn candidate(
        &self,
        plan: &Plan,
        wish: &Wish,
        stream_blocks: bool,
        tiling: Option<Tiling>,
    ) -> Result<Candidate, PipelineError> {
        let vae_memory = VaeMemory { half: wish.vae_half, tiling, ..VaeMemory::default() };
        let Wish { dtype, quant, .. } = *wish;
        let placement = Placement { dtype, quant, stream_blocks, vae_memory, camera_blocks: 0 };
        let memory = MemoryPlan::of(self.checkpoint, plan, &placement, &self.machine)?;
        Ok(Candidate { placement, memory, resident: !stream_blocks })
    }

    /// As many modulations of the camera's path as some of the room that is left holds.
    fn with_camera(&self, plan: &Plan, candidate: Candidate) -> Result<Candidate, PipelineError> {
        if plan.camera.is_none() {
            return Ok(candidate);
        }
        let Candidate { placement, memory, resident } = candidate;
        let config = &self.checkpoint.dit_config;
        let value_bytes = burn::tensor::DType::from(placement.dtype).size();
        let each = config.modulation_bytes(plan.tokens, value_bytes).max(1);
        let left = self.room.left(&memory, resident, self.machine.kind == DeviceKind::Cube);
        let room = left.map_or(UNKNOWN_CAMERA_ROOM, |left| left / CAMERA_SHARE);
        let camera_blocks = usize::try_from(room / each).unwrap_or(usize::MAX).min(config.layers);
        let placement = Placement { camera_blocks, ..placement };
        let memory = MemoryPlan::of(self.checkpoint, plan, &placement, &self.machine)?;
        Ok(Candidate { placement, memory, resident })
    }

    fn notes(&self, plan: &Plan, placement: &Placement, memory: &MemoryPlan) -> Vec<String> {
        let mut notes = Vec::new();
        if self.wish.offload == Offload::Auto && placement.stream_blocks {
            notes.push(match self.machine.kind {
                DeviceKind::Cube => "blocks wait on the host for their turn (--offload block): \
                                     the device has no room for all of them"
                    .to_owned(),
                _ => "weights are read from their file in every pass (--offload block): \
                      memory has no room for all of them"
                    .to_owned(),
            });
        }
        if let (VaeTiling::Auto, Some(tiling)) = (self.wish.vae_tiling, placement.vae_memory.tiling) {
            let [rows, columns] = tiling.counts([plan.latent.height, plan.latent.width]);
            notes.push(format!("--vae-tiling {rows}x{columns}: a whole frame does not fit"));
        }
        let cached = memory.phases.iter().flat_map(|phase| &phase.parts);
        if plan.camera.is_some() && !cached.clone().any(|part| part.part == Part::CameraCache) {
            notes.push("no room for the camera's modulations: blocks compute them in every pass".to_owned());
        }
        notes
    }
}
