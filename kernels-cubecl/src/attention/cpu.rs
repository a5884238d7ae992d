//! The twin for burn-flex.
//!
//! Keys are transposed into panels and rotated once per call, values cut into panels, query rows rotated as their
//! task loads them; a task's scores of one block of keys never leave the first-level cache.

mod flash;
mod pack;
mod simd;

use burn::{
    backend::flex::{FlexTensor, Layout},
    tensor::{DType, Element, TensorData, bf16, f16},
};
use bytemuck::Pod;

use self::{
    flash::{Problem, flash},
    pack::{Rotation, Rows},
};
use super::{AttentionShape, Window};
use crate::host::cast;

/// Which keys count, and how often.
#[derive(Clone, Copy, Debug)]
pub struct Keys {
    /// Those of a query; all of them without a window.
    pub window: Option<Window>,
    /// How often the last one counts.
    pub times: usize,
}

impl Keys {
    /// Every one, once.
    pub const ALL: Self = Self { window: None, times: 1 };
}

/// Attention of `[b, h, l, d]` views; the result is `[b, lq, h, d]`.
pub fn attention(
    qkv: [FlexTensor; 3],
    rotation: Option<[FlexTensor; 2]>,
    shape: AttentionShape,
    keys: Keys,
) -> FlexTensor {
    let tables = rotation.map(|tables| tables.map(|x| cast(x, DType::F32).to_contiguous()));
    let rotation = tables.as_ref().map(|[cos, sin]| Rotation { cos: elements(cos), sin: elements(sin) });
    match qkv[0].dtype() {
        DType::F16 => stored::<f16>(qkv, rotation, shape, keys),
        DType::BF16 => stored::<bf16>(qkv, rotation, shape, keys),
        DType::F32 => stored::<f32>(qkv, rotation, shape, keys),
        other => cast(stored::<f32>(qkv.map(|x| cast(x, DType::F32)), rotation, shape, keys), other),
    }
}

/// Keys and values that are packed at a time, of `heads` heads of `lk` keys of `d` channels.
pub(crate) fn packed_bytes(heads: usize, lk: usize, d: usize) -> u64 {
    (flash::group_len(flash::layout(lk, d), heads) * size_of::<f32>()) as u64
}

/// [`attention`] of tensors that hold `E`: rows become f32 where they are packed, and only there.
fn stored<E: Element + Pod>(
    qkv: [FlexTensor; 3],
    rotation: Option<Rotation<'_>>,
    shape: AttentionShape,
    keys: Keys,
) -> FlexTensor {
    let [q, k, v] = qkv.map(with_dense_rows);
    let problem = Problem { q: rows::<E>(&q), k: rows(&k), v: rows(&v), rotation, keys, shape };
    let AttentionShape { batch, heads, lq, d, .. } = shape;
    let mut out: Vec<E> = vec![E::default(); batch * lq * heads * d];
    flash(&problem, &mut out);
    FlexTensor::from_data(TensorData::new(out, [batch, lq, heads, d]))
}

/// `x` itself if its rows can be read in place, else a copy.
fn with_dense_rows(x: FlexTensor) -> FlexTensor {
    let strides = x.layout().strides();
    if strides[3] == 1 && strides.iter().all(|&s| s >= 0) { x } else { x.to_contiguous() }
}

fn rows<E: Element + Pod>(x: &FlexTensor) -> Rows<'_, E> {
    let layout: &Layout = x.layout();
    let at = |dim: usize| layout.strides()[dim].unsigned_abs();
    Rows {
        data: &x.storage::<E>()[layout.start_offset()..],
        strides: [at(0), at(1), at(2)],
        width: layout.shape()[3],
    }
}

fn elements(x: &FlexTensor) -> &[f32] {
    &x.storage::<f32>()[x.layout().start_offset()..]
}
