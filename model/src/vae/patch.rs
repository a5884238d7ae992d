//! Squares of pixels as the channels of one pixel.

use burn::prelude::*;

/// `[1, c, t, side * h, side * w]` to `[1, c * side * side, t, h, w]`; a square's columns follow each other more slowly
/// than its rows.
pub(super) fn patchify(x: Tensor<5>, side: usize) -> Tensor<5> {
    if side == 1 {
        return x;
    }
    let [_, c, t, h, w] = x.dims();
    let (h, w) = (h / side, w / side);
    let x = x.reshape([c, t, h, side, w, side]).permute([0, 5, 3, 1, 2, 4]); // [c, column, row, t, h, w]
    x.reshape([1, c * side * side, t, h, w])
}

/// The inverse of [`patchify`]: `[1, c * side * side, t, h, w]` to `[1, c, t, side * h, side * w]`.
pub(super) fn unpatchify(x: Tensor<5>, side: usize) -> Tensor<5> {
    if side == 1 {
        return x;
    }
    let [_, channels, t, h, w] = x.dims();
    let c = channels / (side * side);
    let x = x.reshape([c, side, side, t, h, w]).permute([0, 3, 4, 2, 5, 1]); // [c, t, h, row, w, column]
    x.reshape([1, c, t, side * h, side * w])
}
