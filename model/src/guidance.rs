//! Classifier-free guidance.

use burn::prelude::*;

/// `uncond + scale * (cond - uncond)` in f32: 1 is the conditional prediction, more pushes away from `uncond`.
///
/// # Shapes
/// - `cond`, `uncond`, output: `[b, c, f, h, w]`
pub fn guide(cond: Tensor<5>, uncond: Tensor<5>, scale: f64) -> Tensor<5> {
    let (cond, uncond) = (cond.cast(burn::tensor::DType::F32), uncond.cast(burn::tensor::DType::F32));
    uncond.clone() + (cond - uncond) * scale
}
