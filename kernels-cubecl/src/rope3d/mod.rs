//! Rotary position embedding over frame, row and column.

pub mod reference;

use burn::prelude::*;

/// Cosines and sines of a token grid, `[l, d / 2]` f32 each; pair `k` of a head is made of elements `2k, 2k + 1`.
#[derive(Clone, Debug)]
pub struct RopeTable {
    pub cos: Tensor<2>,
    pub sin: Tensor<2>,
}

const THETA: f64 = 10_000.0;

impl RopeTable {
    /// The table for `grid = [frames, rows, columns]` and even `head_dim`, computed in f64 on the host. Rows and
    /// columns take `2 * (head_dim / 6)` elements of a head each, frames the rest.
    pub fn new(grid: [usize; 3], head_dim: usize, device: &Device) -> Self {
        let side = 2 * (head_dim / 6);
        let dims = [head_dim - 2 * side, side, side];
        let angles: Vec<f64> = positions(grid).flat_map(|at| token_angles(at, dims)).collect();
        let length = grid.iter().product::<usize>();
        let table = |f: fn(f64) -> f64| {
            let values: Vec<f32> = angles.iter().map(|&a| f(a) as f32).collect();
            Tensor::from_data(TensorData::new(values, [length, head_dim / 2]), device)
        };
        Self { cos: table(f64::cos), sin: table(f64::sin) }
    }
}

/// Frame-major positions of all tokens.
fn positions([frames, rows, columns]: [usize; 3]) -> impl Iterator<Item = [usize; 3]> {
    (0..frames).flat_map(move |f| (0..rows).flat_map(move |i| (0..columns).map(move |j| [f, i, j])))
}

fn token_angles(at: [usize; 3], dims: [usize; 3]) -> impl Iterator<Item = f64> {
    at.into_iter().zip(dims).flat_map(|(position, dim)| {
        (0..dim / 2).map(move |k| position as f64 * THETA.powf(-2.0 * k as f64 / dim as f64))
    })
}

/// Rotates `x`: `[b, l, h, d]` f32 by its tokens' positions; same shape.
pub fn rope3d(x: Tensor<4>, table: &RopeTable) -> Tensor<4> {
    reference::rope3d(x, table)
}
