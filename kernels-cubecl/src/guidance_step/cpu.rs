//! The twin for burn-flex.

use burn::backend::flex::FlexTensor;

use super::GuidanceStep;
use crate::host::{PieceWork, dense, elements, map_pieces};

/// See [`crate::guidance_step`].
pub(super) fn guidance_step(
    x: FlexTensor,
    cond: FlexTensor,
    uncond: FlexTensor,
    step: GuidanceStep,
) -> FlexTensor {
    let (cond, uncond) = (dense(cond), dense(uncond));
    let (cond, uncond) = (elements(&cond), elements(&uncond));
    let [scale, keep, flow] = [step.scale, step.keep, step.flow].map(|scalar| scalar as f32);
    map_pieces(x, Work { cond, uncond, scale, keep, flow })
}

struct Work<'a> {
    cond: &'a [f32],
    uncond: &'a [f32],
    scale: f32,
    keep: f32,
    flow: f32,
}

impl PieceWork for Work<'_> {
    #[inline(always)]
    fn apply(&self, start: usize, values: &mut [f32]) {
        let predictions = self.cond[start..].iter().zip(&self.uncond[start..]);
        for (x, (&cond, &uncond)) in values.iter_mut().zip(predictions) {
            *x = self.keep * *x + self.flow * (uncond + self.scale * (cond - uncond));
        }
    }
}
