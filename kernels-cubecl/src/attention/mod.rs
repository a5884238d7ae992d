//! Scaled dot-product attention without an O(l²) buffer.

pub mod reference;

use burn::{
    prelude::*,
    tensor::{module, ops::AttentionModuleOptions},
};

use crate::{Operation, Road, road};

const OPERATION: Operation = Operation { name: "attention", cube: None, twin: false, flex_backend: true };

/// The most bytes one block of attention scores may take; at most two such blocks are alive at a time.
pub const SCORE_BUDGET_BYTES: usize = 64 << 20;

/// `softmax(q k^T / sqrt(d)) v`, softmax in f32, any `lq, lk >= 1`.
///
/// # Shapes
/// - `q`: `[b, h, lq, d]`, `k`, `v`: `[b, h, lk, d]`, all of one dtype
/// - result: `[b, h, lq, d]` of that dtype
pub fn attention(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>) -> Tensor<4> {
    match road(&OPERATION, &q.device(), &[q.dtype()]) {
        Road::Backend => module::attention(q, k, v, None, None, AttentionModuleOptions::default()),
        _ => reference::attention(q, k, v, SCORE_BUDGET_BYTES),
    }
}
