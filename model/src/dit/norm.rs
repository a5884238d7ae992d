//! Norms and gates whose modulations change from latent frame to latent frame.

use burn::prelude::*;
use tracing::instrument;
use wan_kernels::{gate_residual, norm_modulate};

/// `[1, l, d]` as `[rows, l / rows, d]`: tokens are frame-major, so a row for each frame modulates a run of them.
fn by_frame(x: Tensor<3>, rows: usize) -> Tensor<3> {
    let [_, l, d] = x.dims();
    x.reshape([rows, l / rows, d])
}

/// `layer_norm(x) * (1 + scale) + shift` of `[1, l, d]`; `scale`, `shift`: `[n, 1, d]`, one row or one for each frame.
#[instrument(name = "norm and modulation", level = "trace", skip_all)]
pub(super) fn modulate(x: Tensor<3>, scale: Tensor<3>, shift: Tensor<3>, eps: f64) -> Tensor<3> {
    let (dims, rows) = (x.dims(), scale.dims()[0]);
    norm_modulate(by_frame(x, rows), scale, shift, eps).reshape(dims)
}

/// `x + y * gate` of `[1, l, d]`; `gate`: `[n, 1, d]`, one row or one for each frame.
#[instrument(name = "gate", level = "trace", skip_all)]
pub(super) fn add_gated(x: Tensor<3>, y: Tensor<3>, gate: Tensor<3>) -> Tensor<3> {
    let (dims, rows) = (x.dims(), gate.dims()[0]);
    gate_residual(by_frame(x, rows), by_frame(y, rows), gate).reshape(dims)
}
