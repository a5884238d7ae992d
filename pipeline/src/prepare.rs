//! Before the first step of a transformer: what all steps share, and the kernels that they take.

use wan_kernels::{DeviceCaps, DeviceKind};

use crate::{Engine, Expert, HealthCheck, PipelineError, State, StepStatistics};

impl Engine<'_> {
    /// Makes what is the same in all of `expert`'s steps, `first` those of the run, and waits for the device to be done with
    /// that and with the weights: steps take equally long.
    pub(crate) fn prepare(
        &mut self,
        state: &State,
        expert: &Expert,
        first: bool,
    ) -> Result<(), PipelineError> {
        expert.keep(&self.cancel)?;
        if first && DeviceCaps::of(&self.device).kind == DeviceKind::Cube {
            self.rehearse(state, expert)?;
        }
        // A device that fails says so at the first readback.
        let _ = self.device.sync();
        Ok(())
    }

    /// Goes through the next step with one block and forgets it. Kernels are compiled when they are first used, most of
    /// them by the driver at their first start, so they are started; at a model's depth that costs a thirtieth of a step.
    fn rehearse(&self, state: &State, expert: &Expert) -> Result<(), PipelineError> {
        let mut state = state.denoise.clone();
        let step = state.step(&expert.of_first_block(), &self.cancel)?;
        if self.health != HealthCheck::Off {
            let _ = step.as_ref().map(StepStatistics::of);
        }
        Ok(())
    }
}
