//! What the three operands must agree on.

use burn::prelude::*;

use super::launch::OPERATION;
use crate::{KernelError, RopeTable};

/// Sizes of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionShape {
    pub batch: usize,
    pub heads: usize,
    /// Queries.
    pub lq: usize,
    /// Keys and values.
    pub lk: usize,
    /// Width of a head.
    pub d: usize,
}

/// The sizes of `q`: `[b, h, lq, d]` and `k`, `v`: `[b, h, lk, d]`; an error unless they fit together, in one dtype
/// and without an empty axis.
pub fn check(q: &Tensor<4>, k: &Tensor<4>, v: &Tensor<4>) -> Result<AttentionShape, KernelError> {
    let ([batch, heads, lq, d], lk) = (q.dims(), k.dims()[2]);
    let expected = [batch, heads, lk, d];
    if k.dims() != expected || v.dims() != expected || q.dtype() != k.dtype() || q.dtype() != v.dtype() {
        let all = [q, k, v].map(|x| format!("{:?} {:?}", x.dims(), x.dtype()));
        return Err(KernelError::shape(OPERATION.name, format!("q {}, k {}, v {}", all[0], all[1], all[2])));
    }
    if [batch, heads, lq, lk, d].contains(&0) {
        let detail = format!("q {:?}, k {:?}: an axis is empty", q.dims(), k.dims());
        return Err(KernelError::shape(OPERATION.name, detail));
    }
    Ok(AttentionShape { batch, heads, lq, lk, d })
}

/// An error unless `table` rotates all queries and keys.
pub fn check_table(shape: AttentionShape, table: &RopeTable) -> Result<(), KernelError> {
    let expected = [shape.lq, shape.d / 2];
    let tables = [table.cos.dims(), table.sin.dims()];
    if shape.lq != shape.lk || !shape.d.is_multiple_of(2) || tables != [expected; 2] {
        let detail = format!("a table of {:?} for {shape:?}", tables[0]);
        return Err(KernelError::shape(OPERATION.name, detail));
    }
    Ok(())
}

impl AttentionShape {
    /// Of checked operands `q` and `k`.
    pub(super) fn of(q: &Shape, k: &Shape) -> Self {
        let [batch, heads, lq, d] = q.dims();
        Self { batch, heads, lq, lk: k[2], d }
    }

    /// `[b, lq, h, d]`.
    pub(super) fn result(&self) -> Shape {
        Shape::new([self.batch, self.lq, self.heads, self.d])
    }
}
