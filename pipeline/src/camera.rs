//! From a camera path to what one transformer is told of it.

use burn::prelude::*;
use wan_model::{
    CameraContext, ModelKind, WanTransformer,
    camera::{CameraPath, control_tokens},
};

use crate::{PipelineError, Plan, task::WITH_KEYS};

/// The plan's path embedded by `transformer`, with the modulations of `kept` blocks.
pub(crate) fn embed(
    transformer: &WanTransformer,
    plan: &Plan,
    path: &CameraPath,
    kept: usize,
    device: &Device,
) -> Result<CameraContext, PipelineError> {
    let config = transformer.config();
    let control = match config.kind {
        ModelKind::LingBot { control_dim: WITH_KEYS, .. } => {
            path.action_control(plan.height, plan.width, device)?
        }
        _ => path.control(plan.height, plan.width, device)?,
    };
    Ok(transformer.embed_camera(control_tokens(control, config.patch), kept.min(config.layers))?)
}
