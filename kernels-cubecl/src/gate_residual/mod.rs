//! A gated branch added to the residual stream.

mod cpu;
pub mod kernel;
mod launch;
pub mod reference;

use burn::{backend::Dispatch, prelude::*};

use crate::{KernelError, Road, dispatch::road_for, rows::RowMap};
use launch::GateResidual;
pub(crate) use launch::OPERATION;

/// `x + y * gate`, in f32 inside; the dtype of `x`. In the place of `x` if nobody else holds it.
///
/// # Shapes
/// - `x`, `y`: `[b, l, d]`, `gate`: `[1, 1, d]`, `[b, 1, d]` or `[b, l, d]`
///
/// # Panics
/// If the shapes do not fit together.
pub fn gate_residual(x: Tensor<3>, y: Tensor<3>, gate: Tensor<3>) -> Tensor<3> {
    let rows = check(&x, &y, &gate).unwrap_or_else(|error| panic!("{error}"));
    let dtypes = [x.dtype(), y.dtype(), gate.dtype()];
    match road_for(&OPERATION, &x.device(), &dtypes, x.shape().num_elements()) {
        Road::Custom => Tensor::from_dispatch(Dispatch::gate_residual(
            x.into_dispatch(),
            y.into_dispatch(),
            gate.into_dispatch(),
            rows,
        )),
        _ => reference::gate_residual(x, y, gate),
    }
}

fn check(x: &Tensor<3>, y: &Tensor<3>, gate: &Tensor<3>) -> Result<RowMap, KernelError> {
    if x.dims() != y.dims() {
        let detail = format!("{:?} added to {:?}", y.dims(), x.dims());
        return Err(KernelError::shape(OPERATION.name, detail));
    }
    RowMap::new(OPERATION.name, x, gate)
}
