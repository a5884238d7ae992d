//! Patches of latents as tokens.

use burn::prelude::*;

/// Gathers the cells of each token: `[1, c, frames, rows, columns]` to `[1, tokens, c * patch]`, frame-major, where a
/// token's values run over channels, then the frames, rows and columns of its patch.
pub(crate) fn patches(x: Tensor<5>, [pt, ph, pw]: [usize; 3]) -> Tensor<3> {
    let [_, c, frames, rows, columns] = x.dims();
    let (f, i, j) = (frames / pt, rows / ph, columns / pw);
    // Time first, then space: ndarray stops at six dimensions.
    let by_frame = x.reshape([c, f, pt, rows * columns]).swap_dims(0, 1);
    let patches: Tensor<6> = by_frame.reshape([f, c * pt, i, ph, j, pw]).permute([0, 2, 4, 1, 3, 5]);
    patches.reshape([1, f * i * j, c * pt * ph * pw])
}
