//! The twin for burn-flex.

use burn::backend::flex::FlexTensor;

use crate::host::{PieceWork, map_pieces, sigmoid};

/// See [`crate::silu`].
pub(super) fn silu(x: FlexTensor) -> FlexTensor {
    map_pieces(x, Work)
}

struct Work;

impl PieceWork for Work {
    #[inline(always)]
    fn apply(&self, _start: usize, values: &mut [f32]) {
        for x in values {
            *x *= sigmoid(*x);
        }
    }
}
