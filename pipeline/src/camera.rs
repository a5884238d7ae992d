//! From a camera path to what one transformer is told of it.

use burn::{prelude::*, tensor::DType};
use wan_model::{
    CameraContext, ModelKind, WanTransformer,
    camera::{CameraPath, control_tokens},
};

use crate::{PipelineError, Plan, task::WITH_KEYS};

/// Room for modulations that are computed once instead of in every pass.
const KEPT_BYTES: usize = 1 << 30;

/// The plan's path embedded by `transformer`, with the modulations of as many blocks as fit the room for them.
pub(crate) fn embed(
    transformer: &WanTransformer,
    plan: &Plan,
    path: &CameraPath,
    dtype: DType,
    device: &Device,
) -> Result<CameraContext, PipelineError> {
    let config = transformer.config();
    let control = match config.kind {
        ModelKind::LingBot { control_dim: WITH_KEYS, .. } => {
            path.action_control(plan.height, plan.width, device)?
        }
        _ => path.control(plan.height, plan.width, device)?,
    };
    let kept = KEPT_BYTES / (2 * plan.tokens * config.dim * dtype.size()).max(1);
    Ok(transformer.embed_camera(control_tokens(control, config.patch), kept.min(config.layers))?)
}
