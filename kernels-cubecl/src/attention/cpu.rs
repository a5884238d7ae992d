//! The twin for burn-flex.
//!
//! Keys are transposed into panels and rotated once per call, values cut into panels, query rows rotated as their
//! task loads them; a task's scores of one block of keys never leave the first-level cache.

mod flash;
mod pack;
mod simd;

use burn::{
    backend::{
        Flex,
        flex::{FlexTensor, Layout},
        ops::FloatTensorOps,
    },
    tensor::{FloatDType, TensorData},
};

use self::{
    flash::{Problem, flash},
    pack::{Rotation, Rows},
};
use super::{AttentionShape, Window};

/// Attention of `[b, h, l, d]` views; the result is `[b, lq, h, d]`.
pub fn attention(
    [q, k, v]: [FlexTensor; 3],
    rotation: Option<[FlexTensor; 2]>,
    shape: AttentionShape,
    window: Option<Window>,
) -> FlexTensor {
    let dtype = FloatDType::from(q.dtype());
    let [q, k, v] = [q, k, v].map(|x| with_dense_rows(Flex::float_cast(x, FloatDType::F32)));
    let tables = rotation.map(|tables| tables.map(|x| Flex::float_cast(x, FloatDType::F32).to_contiguous()));
    let rotation = tables.as_ref().map(|[cos, sin]| Rotation { cos: elements(cos), sin: elements(sin) });
    let problem = Problem { q: rows(&q), k: rows(&k), v: rows(&v), rotation, window, shape };
    let AttentionShape { batch, heads, lq, d, .. } = shape;
    let mut out = vec![0.0; batch * lq * heads * d];
    flash(&problem, &mut out);
    Flex::float_cast(FlexTensor::from_data(TensorData::new(out, [batch, lq, heads, d])), dtype)
}

/// `x` itself if its rows can be read in place, else a copy.
fn with_dense_rows(x: FlexTensor) -> FlexTensor {
    let strides = x.layout().strides();
    if strides[3] == 1 && strides.iter().all(|&s| s >= 0) { x } else { x.to_contiguous() }
}

fn rows(x: &FlexTensor) -> Rows<'_> {
    let layout: &Layout = x.layout();
    let at = |dim: usize| layout.strides()[dim].unsigned_abs();
    Rows {
        data: &x.storage::<f32>()[layout.start_offset()..],
        strides: [at(0), at(1), at(2)],
        width: layout.shape()[3],
    }
}

fn elements(x: &FlexTensor) -> &[f32] {
    &x.storage::<f32>()[x.layout().start_offset()..]
}
