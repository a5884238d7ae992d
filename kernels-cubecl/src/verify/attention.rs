//! Attention's three functions on drawn queries, keys and values.

use burn::{prelude::*, tensor::DType};

use super::{
    draw::Draw,
    rows::Rows,
    subjects::{Call, Dims},
};
use crate::{
    RopeTable, SCORE_BUDGET_BYTES, Window, attention, padded_attention, reference, rope_attention,
    window_attention,
};

/// Smaller than a tile on both sides, so that whole tiles are skipped between the sink and the window.
const WINDOW: Window = Window { size: 5, sink: 2 };

/// How often the last key counts where it stands for several.
const TIMES: usize = 9;

/// `[b, h, l, d]` each, the values a view as a model's are. Queries of twice the usual size make weights that differ.
fn by_head(draw: &Draw, [b, h, lq, lk, d]: Dims) -> [Tensor<4>; 3] {
    let v = draw.activation(3, 1.0, [b, lk, h, d]).swap_dims(1, 2);
    [draw.activation(1, 2.0, [b, h, lq, d]), draw.activation(2, 1.0, [b, h, lk, d]), v]
}

/// `[b, l, h, d]` each, and their rotation.
fn by_token(draw: &Draw, [b, h, l, _, d]: Dims) -> ([Tensor<4>; 3], RopeTable) {
    let [q, k, v] = [(1, 2.0), (2, 1.0), (3, 1.0)].map(|(seed, s)| draw.activation(seed, s, [b, l, h, d]));
    ([q, k, v], draw.table(4, l, d))
}

pub(super) fn own(draw: &Draw, dims: Dims) -> Call {
    let [q, k, v] = by_head(draw, dims);
    Box::new(move || attention(q, k, v))
}

pub(super) fn plain(draw: &Draw, dims: Dims, rows: &Rows) -> Call {
    let [q, k, v] = by_head(draw, dims);
    let q = rows.take(q, 2);
    Box::new(move || reference::attention(q, k, v, SCORE_BUDGET_BYTES))
}

pub(super) fn padded_own(draw: &Draw, dims: Dims) -> Call {
    let [q, k, v] = by_head(draw, dims);
    Box::new(move || padded_attention(q, k, v, TIMES))
}

pub(super) fn padded_plain(draw: &Draw, dims: Dims, rows: &Rows) -> Call {
    let [q, k, v] = by_head(draw, dims);
    let q = rows.take(q, 2);
    Box::new(move || reference::padded_attention(q, k, v, TIMES, SCORE_BUDGET_BYTES))
}

pub(super) fn window_own(draw: &Draw, dims: Dims) -> Call {
    let [q, k, v] = by_head(draw, dims);
    Box::new(move || window_attention(q, k, v, WINDOW))
}

/// What a query sees depends on its row, so that all rows are computed and some kept.
pub(super) fn window_plain(draw: &Draw, dims: Dims, rows: &Rows) -> Call {
    let ([q, k, v], rows) = (by_head(draw, dims), rows.clone());
    Box::new(move || rows.take(reference::window_attention(q, k, v, Some(WINDOW), SCORE_BUDGET_BYTES), 2))
}

pub(super) fn rotated_own(draw: &Draw, dims: Dims) -> Call {
    let ([q, k, v], table) = by_token(draw, dims);
    Box::new(move || rope_attention(q, k, v, &table).swap_dims(1, 2))
}

pub(super) fn rotated_plain(draw: &Draw, dims: Dims, rows: &Rows) -> Call {
    let ([q, k, v], table) = by_token(draw, dims);
    let q = rows.take(q, 1);
    let [cos, sin] = [&table.cos, &table.sin].map(|t| rows.take(t.clone(), 0));
    let picked = RopeTable { cos, sin };
    Box::new(move || {
        let rotated = |x: Tensor<4>, table: &RopeTable| {
            let dtype = x.dtype();
            reference::rope3d(x.cast(DType::F32), table).cast(dtype).swap_dims(1, 2)
        };
        let (q, k) = (rotated(q, &picked), rotated(k, &table));
        reference::attention(q, k, v.swap_dims(1, 2), SCORE_BUDGET_BYTES)
    })
}
