//! The twin for burn-flex.

use burn::backend::flex::FlexTensor;

use crate::host::{map_flat, sigmoid};

/// See [`crate::silu`].
pub(super) fn silu(x: FlexTensor) -> FlexTensor {
    map_flat(x, |x| x * sigmoid(x))
}
