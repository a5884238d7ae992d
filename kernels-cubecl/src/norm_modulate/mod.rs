//! Layer norm, scale and shift in one pass.

mod cpu;
pub mod kernel;
mod launch;
pub mod reference;

use burn::{
    backend::Dispatch,
    prelude::*,
    tensor::{DType, module},
};

use crate::{KernelError, Road, dispatch::road_for, rows::RowMap};
use launch::NormModulate;
pub(crate) use launch::OPERATION;

/// `layer_norm(x) * (1 + scale) + shift` over the last axis, in f32 inside; the dtype of `x`.
///
/// # Shapes
/// - `x`: `[b, l, d]`; `scale`, `shift`: both `[1, 1, d]`, `[b, 1, d]`, or `[b, l, d]` for modulation per token
///
/// # Panics
/// If the shapes do not fit together.
pub fn norm_modulate(x: Tensor<3>, scale: Tensor<3>, shift: Tensor<3>, eps: f64) -> Tensor<3> {
    let rows = check(&x, &scale, &shift).unwrap_or_else(|error| panic!("{error}"));
    let (scale, shift) = match scale.dtype() == shift.dtype() {
        true => (scale, shift),
        false => (scale.cast(DType::F32), shift.cast(DType::F32)),
    };
    let dtypes = [x.dtype(), scale.dtype()];
    match road_for(&OPERATION, &x.device(), &dtypes, x.shape().num_elements()) {
        Road::Custom => Tensor::from_dispatch(Dispatch::norm_modulate(
            x.into_dispatch(),
            scale.into_dispatch(),
            shift.into_dispatch(),
            rows,
            eps as f32,
        )),
        Road::Backend if rows.count == 1 => {
            module::layer_norm(x, (scale + 1.0).squeeze_dims(&[0, 1]), Some(shift.squeeze_dims(&[0, 1])), eps)
        }
        _ => reference::norm_modulate(x, scale, shift, eps),
    }
}

fn check(x: &Tensor<3>, scale: &Tensor<3>, shift: &Tensor<3>) -> Result<RowMap, KernelError> {
    if scale.dims() != shift.dims() {
        let detail = format!("scale {:?}, but shift {:?}", scale.dims(), shift.dims());
        return Err(KernelError::shape(OPERATION.name, detail));
    }
    RowMap::new(OPERATION.name, x, scale)
}
