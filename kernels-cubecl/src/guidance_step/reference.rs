//! Guidance and update by plain tensor code.

use burn::{prelude::*, tensor::DType};

use super::GuidanceStep;

/// See [`crate::guidance_step`].
pub fn guidance_step<const D: usize>(
    x: Tensor<D>,
    cond: Tensor<D>,
    uncond: Tensor<D>,
    step: GuidanceStep,
) -> Tensor<D> {
    let [x, cond, uncond] = [x, cond, uncond].map(|t| t.cast(DType::F32));
    let guided = uncond.clone() + (cond - uncond) * step.scale;
    x * step.keep + guided * step.flow
}
