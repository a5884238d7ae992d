//! What turns projected queries or keys into attention's input: RMS norm over the full width, rotation by position,
//! head layout and cast, in one pass.

mod cpu;
pub mod kernel;
pub(crate) mod launch;
pub mod reference;

use burn::{backend::Dispatch, prelude::*, tensor::DType};

use crate::{KernelError, Road, RopeTable, dispatch::road_for, rms_norm};
pub(crate) use launch::OPERATION;
use launch::{Form, RmsNormRope};

/// [`rms_norm`](crate::rms_norm) of `x`, split in `heads`, rotated by `table` if there is one, as `dtype` in the
/// layout attention takes; f32 inside.
///
/// # Shapes
/// - `x`: `[b, l, h * d]`; `weight`: `[h * d]`; `table`: of `l` tokens and an even `d`
/// - result: `[b, h, l, d]`
///
/// # Panics
/// If the shapes do not fit together.
pub fn rms_norm_rope(
    x: Tensor<3>,
    weight: Tensor<1>,
    table: Option<&RopeTable>,
    heads: usize,
    eps: f64,
    dtype: DType,
) -> Tensor<4> {
    check(&x, &weight, table, heads).unwrap_or_else(|error| panic!("{error}"));
    let dtypes = [x.dtype(), weight.dtype(), dtype];
    let form = Form { heads, eps: eps as f32, dtype };
    match (road_for(&OPERATION, &x.device(), &dtypes, x.shape().num_elements()), table) {
        (Road::Custom, Some(table)) => Tensor::from_dispatch(Dispatch::rms_norm_rope(
            x.into_dispatch(),
            weight.into_dispatch(),
            table.cos.clone().into_dispatch(),
            table.sin.clone().into_dispatch(),
            form,
        )),
        (Road::Custom, None) => {
            Tensor::from_dispatch(Dispatch::rms_norm_heads(x.into_dispatch(), weight.into_dispatch(), form))
        }
        _ => reference::rms_norm_rope(x, weight, table, heads, eps, dtype),
    }
}

fn check(
    x: &Tensor<3>,
    weight: &Tensor<1>,
    table: Option<&RopeTable>,
    heads: usize,
) -> Result<(), KernelError> {
    rms_norm::check(OPERATION.name, x, weight)?;
    let [_, length, width] = x.dims();
    if heads == 0 || width % heads != 0 {
        return Err(KernelError::shape(OPERATION.name, format!("{width} channels in {heads} heads")));
    }
    let Some(table) = table else { return Ok(()) };
    let expected = [length, width / heads / 2];
    if !(width / heads).is_multiple_of(2) || [table.cos.dims(), table.sin.dims()] != [expected; 2] {
        let detail = format!("a table of {:?} for {expected:?} pairs", table.cos.dims());
        return Err(KernelError::shape(OPERATION.name, detail));
    }
    Ok(())
}
