//! Attention in blocks of heads and query rows, each block's scores under a byte budget.

use burn::{
    prelude::*,
    tensor::{DType, activation::softmax},
};

use super::Window;
use crate::{RopeTable, rope3d::reference::rope3d};

/// Like [`crate::attention`], with the bytes one block of scores may take. A single row of scores of one head is
/// always allowed.
pub fn attention(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, budget_bytes: usize) -> Tensor<4> {
    window_attention(q, k, v, None, budget_bytes)
}

/// Like [`crate::padded_attention`], with the bytes one block of scores may take.
pub fn padded_attention(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    times: usize,
    budget_bytes: usize,
) -> Tensor<4> {
    attention(q, repeat_last(k, times), repeat_last(v, times), budget_bytes)
}

/// `[b, h, l, d]` with the last row `times` times.
pub(super) fn repeat_last(x: Tensor<4>, times: usize) -> Tensor<4> {
    if times == 1 {
        return x;
    }
    let last = x.clone().narrow(2, x.dims()[2] - 1, 1).repeat_dim(2, times - 1);
    Tensor::cat(vec![x, last], 2)
}

/// Like [`crate::rope_attention`], but of `[b, h, l, d]`, with the bytes one block of scores may take.
pub fn rope_attention(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    table: &RopeTable,
    budget_bytes: usize,
) -> Tensor<4> {
    let [q, k] = [q, k].map(|x| {
        let dtype = x.dtype();
        rope3d(x.swap_dims(1, 2).cast(DType::F32), table).swap_dims(1, 2).cast(dtype)
    });
    attention(q, k, v, budget_bytes)
}

/// Like [`crate::window_attention`], with the bytes one block of scores may take.
pub fn window_attention(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    window: Option<Window>,
    budget_bytes: usize,
) -> Tensor<4> {
    let [b, h, lq, d] = q.dims();
    let lk = k.dims()[2];
    let q = q * (d as f64).powf(-0.5);
    let (heads, rows) = block(b, h, lq, lk, budget_bytes);
    let by_head = (0..h).step_by(heads).map(|first| {
        let head = first..(first + heads).min(h);
        let at = |x: &Tensor<4>| x.clone().slice([0..b, head.clone()]);
        rows_of_heads(at(&q), at(&k), at(&v), rows, window)
    });
    concatenate(by_head.collect(), 1)
}

/// Heads and query rows per block.
fn block(b: usize, h: usize, lq: usize, lk: usize, budget_bytes: usize) -> (usize, usize) {
    let rows_total = (budget_bytes / (b * lk * size_of::<f32>())).max(1);
    // Whole heads while a head's scores fit, else one head in pieces: the matrix products stay as large as they can.
    match rows_total / lq {
        0 => (1, rows_total),
        heads => (heads.min(h), lq),
    }
}

fn rows_of_heads(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, rows: usize, window: Option<Window>) -> Tensor<4> {
    let [b, h, lq, _] = q.dims();
    let lk = k.dims()[2];
    let keys = k.swap_dims(2, 3);
    let blocks = (0..lq).step_by(rows).map(|first| {
        let rows = first..(first + rows).min(lq);
        let q = q.clone().slice([0..b, 0..h, rows.clone()]);
        // f32: a softmax over tens of thousands of keys loses its small weights in f16.
        let scores = q.matmul(keys.clone()).cast(DType::F32);
        let scores = match window {
            Some(window) => {
                let hidden = rows.flat_map(|row| (0..lk).map(move |key| !window.sees(row, key, lq, lk)));
                let mask = TensorData::new(hidden.collect::<Vec<bool>>(), [1, 1, scores.dims()[2], lk]);
                let mask = Tensor::<4, Bool>::from_data(mask, &scores.device());
                scores.clone().mask_fill(mask.expand(scores.dims()), f32::MIN)
            }
            None => scores,
        };
        softmax(scores, 3).cast(v.dtype()).matmul(v.clone())
    });
    concatenate(blocks.collect(), 2)
}

fn concatenate(mut parts: Vec<Tensor<4>>, dim: usize) -> Tensor<4> {
    if parts.len() == 1 { parts.remove(0) } else { Tensor::cat(parts, dim) }
}
