//! How a modulation with fewer rows than the tensor it modulates is spread over its rows.

use burn::prelude::*;

use crate::KernelError;

/// Row `r` of `[b, l, d]` is modulated by row `(r / span) % count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowMap {
    pub span: usize,
    pub count: usize,
}

impl RowMap {
    /// For `x`: `[b, l, d]` and `modulation`: `[1 or b, 1 or l, d]`.
    pub fn new(operation: &'static str, x: &Tensor<3>, modulation: &Tensor<3>) -> Result<Self, KernelError> {
        let ([b, l, d], [rows, tokens, width]) = (x.dims(), modulation.dims());
        if width != d || (rows != 1 && rows != b) || (tokens != 1 && tokens != l) {
            let detail = format!("{:?} does not modulate {:?}", modulation.dims(), x.dims());
            return Err(KernelError::shape(operation, detail));
        }
        let span = if tokens == 1 && rows != 1 { l } else { 1 };
        Ok(Self { span, count: rows * tokens })
    }

    /// The modulation's row for row `r`.
    pub fn at(&self, r: usize) -> usize {
        r / self.span % self.count
    }
}
