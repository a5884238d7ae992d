//! Which pixel frames of a conditioning video are given.

use burn::prelude::*;

use crate::latent::LatentShape;

/// 1 where a pixel frame is given and 0 where it is to be made, in f32: one channel per pixel frame of a latent frame.
/// The first frame of a video stands alone in its latent frame and fills all of its channels. Given are the first
/// frame and, with `last`, the very last one; a video of one frame has no other.
///
/// # Shapes
/// - `temporal`: pixel frames per latent frame after the first, above 0
/// - output: `[1, temporal, frames, height, width]` of `latent`
pub fn condition_mask(latent: &LatentShape, temporal: usize, last: bool, device: &Device) -> Tensor<5> {
    let LatentShape { frames, height, width, .. } = *latent;
    let given =
        |channel: usize, frame: usize| frame == 0 || (last && (channel, frame) == (temporal - 1, frames - 1));
    let values: Vec<f32> =
        (0..temporal * frames).map(|n| if given(n / frames, n % frames) { 1.0 } else { 0.0 }).collect();
    let mask: Tensor<5> = Tensor::from_data(TensorData::new(values, [1, temporal, frames, 1, 1]), device);
    mask.expand([1, temporal, frames, height, width])
}
