//! Attention in blocks of heads and query rows, each block's scores under a byte budget.

use burn::{
    prelude::*,
    tensor::{DType, activation::softmax},
};

/// Like [`crate::attention`], with the bytes one block of scores may take. A single row of scores of one head is
/// always allowed.
pub fn attention(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, budget_bytes: usize) -> Tensor<4> {
    let [b, h, lq, d] = q.dims();
    let lk = k.dims()[2];
    let q = q * (d as f64).powf(-0.5);
    let (heads, rows) = block(b, h, lq, lk, budget_bytes);
    let by_head = (0..h).step_by(heads).map(|first| {
        let head = first..(first + heads).min(h);
        let at = |x: &Tensor<4>| x.clone().slice([0..b, head.clone()]);
        rows_of_heads(at(&q), at(&k), at(&v), rows)
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

fn rows_of_heads(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, rows: usize) -> Tensor<4> {
    let [b, h, lq, _] = q.dims();
    let keys = k.swap_dims(2, 3);
    let blocks = (0..lq).step_by(rows).map(|first| {
        let q = q.clone().slice([0..b, 0..h, first..(first + rows).min(lq)]);
        // f32: a softmax over tens of thousands of keys loses its small weights in f16.
        let scores = softmax(q.matmul(keys.clone()).cast(DType::F32), 3);
        scores.cast(v.dtype()).matmul(v.clone())
    });
    concatenate(blocks.collect(), 2)
}

fn concatenate(mut parts: Vec<Tensor<4>>, dim: usize) -> Tensor<4> {
    if parts.len() == 1 { parts.remove(0) } else { Tensor::cat(parts, dim) }
}
