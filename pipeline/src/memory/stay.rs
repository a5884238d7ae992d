//! What can stay loaded from one run to the next.

use super::{Bytes, MemoryPlan, Part, PartBytes, Question, Settled, phases::Budget};
use crate::{Phase, PipelineError};

/// Of the networks that several runs use, what is not freed between them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stay {
    /// Transformers while frames are decoded; otherwise none.
    pub beside_decoder: bool,
    /// Both of two. One alone is of no use to the next run: the last one of a run is not the first one of the next.
    pub both: bool,
}

impl Question<'_> {
    /// As much as there is room for beside the work of a run that is `settled` like this.
    ///
    /// # Errors
    /// As [`MemoryPlan::of`].
    pub fn stay(&self, settled: &Settled) -> Result<Stay, PipelineError> {
        let Settled { plan, placement, memory, .. } = settled;
        let budget = Budget { checkpoint: self.checkpoint, plan, placement, machine: &self.machine };
        let weights = budget.transformers()?;
        let fits = |memory: &MemoryPlan, resident| self.room.shortage(memory, resident).is_none();
        let largest = weights.iter().fold(Bytes::default(), |most, &bytes| most.most(bytes));
        let all = weights.iter().fold(Bytes::default(), |sum, &bytes| sum + bytes);
        let both = weights.len() > 1 && fits(&beside(memory, all, largest), !placement.stream_blocks);
        // Pages of one that is mapped may leave and come back.
        let beside_decoder = both || fits(&beside(memory, largest, Bytes::default()), false);
        Ok(Stay { beside_decoder, both })
    }
}

/// With weights of transformers in phases that have none, and of the other one in those that have.
fn beside(memory: &MemoryPlan, transformers: Bytes, other: Bytes) -> MemoryPlan {
    let mut memory = memory.clone();
    for phase in &mut memory.phases {
        let bytes = match phase.phase {
            Phase::Load | Phase::Prepare | Phase::Denoise => other,
            Phase::Text | Phase::Image | Phase::Decode => transformers,
        };
        phase.parts.push(PartBytes { part: Part::Weights, bytes });
    }
    memory
}
