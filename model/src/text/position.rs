//! Relative positions of umT5: near ones exactly, far ones by logarithm, 128 and beyond alike.

use burn::prelude::*;

use super::Umt5Config;

/// The bucket of key position `j` seen from query position `i`, with `relative = j - i`: one half of `buckets` looks
/// back, the other ahead; half of each is exact, the rest logarithmic up to `max_distance`.
pub fn position_bucket(relative: i64, buckets: usize, max_distance: usize) -> usize {
    let side = buckets / 2;
    let exact = (side / 2).max(1);
    let distance = usize::try_from(relative.unsigned_abs()).unwrap_or(usize::MAX);
    let ahead = if relative > 0 { side } else { 0 };
    if distance < exact {
        return ahead + distance;
    }
    // f32, as in the reference: a boundary decided in another precision moves a whole bucket.
    let span = (max_distance as f64 / exact as f64).ln() as f32;
    let octave = (distance as f32 / exact as f32).ln() / span * side.saturating_sub(exact) as f32;
    ahead + exact.saturating_add(octave as usize).min(side.saturating_sub(1))
}

/// The buckets of all pairs of `n` positions, shared by all layers of one encoding.
#[derive(Clone, Debug)]
pub struct PositionBuckets {
    /// `[n * n]`, query-major.
    indices: Tensor<1, Int>,
    n: usize,
}

impl PositionBuckets {
    /// The table for a text of `n` tokens.
    pub fn new(n: usize, config: &Umt5Config, device: &Device) -> Self {
        let bucket = |i: usize, j: usize| {
            position_bucket(j as i64 - i as i64, config.buckets, config.max_distance) as i32
        };
        let indices: Vec<i32> = (0..n).flat_map(|i| (0..n).map(move |j| bucket(i, j))).collect();
        Self { indices: Tensor::from_data(TensorData::new(indices, [n * n]), device), n }
    }

    /// The bias of each pair from a table `[buckets, heads]`: `[1, heads, n, n]` in f32.
    pub(super) fn bias(&self, table: Tensor<2>) -> Tensor<4> {
        let heads = table.dims()[1];
        let by_head = table.cast(burn::tensor::DType::F32).transpose();
        by_head.select(1, self.indices.clone()).reshape([1, heads, self.n, self.n])
    }
}
