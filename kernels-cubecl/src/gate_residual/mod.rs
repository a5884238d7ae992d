//! A gated branch added to the residual stream.

pub mod reference;

use burn::prelude::*;

/// `x + y * gate` in f32.
///
/// # Shapes
/// - `x`, `y`: `[b, l, d]`, `gate`: `[1, 1, d]` or `[b, l, d]`
pub fn gate_residual(x: Tensor<3>, y: Tensor<3>, gate: Tensor<3>) -> Tensor<3> {
    reference::gate_residual(x, y, gate)
}
