//! The twin for burn-flex.

use burn::backend::flex::FlexTensor;

use super::GuidanceStep;
use crate::host::{dense, elements, map_pieces};

/// See [`crate::guidance_step`].
pub(super) fn guidance_step(
    x: FlexTensor,
    cond: FlexTensor,
    uncond: FlexTensor,
    step: GuidanceStep,
) -> FlexTensor {
    let (cond, uncond) = (dense(cond), dense(uncond));
    let (cond, uncond) = (elements(&cond), elements(&uncond));
    let (scale, keep, flow) = (step.scale as f32, step.keep as f32, step.flow as f32);
    map_pieces(x, |at, piece| {
        let predictions = cond[at..].iter().zip(&uncond[at..]);
        for (x, (&cond, &uncond)) in piece.iter_mut().zip(predictions) {
            *x = keep * *x + flow * (uncond + scale * (cond - uncond));
        }
    })
}
