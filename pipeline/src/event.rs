//! What a run tells its caller, and how the caller stops it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::{Diagnosis, FrameChunk, Pause, PipelineError, Step};

/// The phases of a run, in order; with two transformers [`Self::Load`] to [`Self::Denoise`] come twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Prompt to context rows, the text encoder's loading included.
    Text,
    /// Pictures to what the transformer is told of them, the encoders' loading included.
    Image,
    /// A transformer's weights.
    Load,
    /// What all steps share, and on an adapter their kernels: nothing of it is left to the first step.
    Prepare,
    Denoise,
    /// Latents to frames, the decoder's loading included.
    Decode,
}

/// One thing that happened. Tensors are lent: an observer that keeps one keeps its memory.
pub enum Event<'a> {
    Started(Phase),
    Finished {
        phase: Phase,
        seconds: f64,
    },
    /// A transformer's weights, `bytes` as its file holds them, are where they are used.
    Loaded {
        bytes: u64,
        seconds: f64,
    },
    /// Context rows `[n, width]` f32 of the prompt and, with guidance, of the negative prompt.
    Text {
        context: &'a [f32],
        context_null: Option<&'a [f32]>,
        width: usize,
    },
    /// Of the text encoder the layers that are done, or of the picture video the latent frames.
    Encoded {
        done: usize,
        total: usize,
    },
    Step {
        step: &'a Step,
        seconds: f64,
    },
    /// Decoded frames, in order.
    Frames(FrameChunk),
    /// Nothing is under way: the run can be kept, to go on from here at another time. Comes before the first step and the
    /// first frame, and after each of both. `last`: before a phase of its own begins, or the run ends too early.
    Pause {
        pause: Pause<'a>,
        last: bool,
    },
    /// The run goes on all the same, as [`crate::HealthCheck::Warn`] says.
    Unwell(&'a Diagnosis),
}

/// Stops a run at the next forward pass; clones share the flag.
#[derive(Clone, Debug, Default)]
pub struct CancelToken {
    flag: Arc<AtomicBool>,
    /// Flags that count as well.
    above: Vec<Arc<AtomicBool>>,
}

impl CancelToken {
    /// A token for a part of the work: stopped with this one, but not the other way round.
    pub fn child(&self) -> Self {
        let above = self.above.iter().chain([&self.flag]).cloned().collect();
        Self { flag: Arc::default(), above }
    }

    /// Asks the run to stop; returns whether that had been asked before.
    pub fn cancel(&self) -> bool {
        self.flag.swap(true, Ordering::Relaxed)
    }

    pub fn is_cancelled(&self) -> bool {
        std::iter::once(&self.flag).chain(&self.above).any(|flag| flag.load(Ordering::Relaxed))
    }

    /// [`PipelineError::Cancelled`] once [`Self::cancel`] was called.
    pub(crate) fn check(&self) -> Result<(), PipelineError> {
        if self.is_cancelled() { Err(PipelineError::Cancelled) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_stops_with_the_whole_and_not_the_other_way_round() {
        let whole = CancelToken::default();
        let (first, second) = (whole.child(), whole.child().child());
        assert!(!first.cancel());
        assert!(first.is_cancelled() && !whole.is_cancelled() && !second.is_cancelled());
        whole.cancel();
        assert!(second.is_cancelled());
    }
}
