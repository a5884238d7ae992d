//! Classifier-free guidance.

use burn::prelude::*;
use wan_kernels::{GuidanceStep, guidance_step};

/// `uncond + scale * (cond - uncond)` in f32: 1 is the conditional prediction, more pushes away from `uncond`.
///
/// # Shapes
/// - `cond`, `uncond`, output: `[b, c, f, h, w]`
pub fn guide(cond: Tensor<5>, uncond: Tensor<5>, scale: f64) -> Tensor<5> {
    let prediction = GuidanceStep { scale, keep: 0.0, flow: 1.0 };
    guidance_step(cond.clone(), cond, uncond, prediction)
}
