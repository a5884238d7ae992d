//! The parts one after another.

use burn::{prelude::*, tensor::DType};

use crate::{RopeTable, reference};

/// See [`crate::rms_norm_rope`].
pub fn rms_norm_rope(
    x: Tensor<3>,
    weight: Tensor<1>,
    table: Option<&RopeTable>,
    heads: usize,
    eps: f64,
    dtype: DType,
) -> Tensor<4> {
    let [b, l, width] = x.dims();
    let x = reference::rms_norm(x.cast(DType::F32), weight, eps).reshape([b, l, heads, width / heads]);
    let x = match table {
        Some(table) => reference::rope3d(x, table),
        None => x,
    };
    x.swap_dims(1, 2).cast(dtype)
}
