//! The transform of the filters, once per call.

use cubecl::prelude::*;

use super::{FOURS, Four, POINTS};

/// `weight`: `[c_out, c_in, k_t, 3, 3]` to `filters`: `[tiles of c_out, k_t, c_in, points, c_out within the tile]`, zero
/// beyond the last channel. One unit for four channels; `total` of them, from tile `first_tile` on.
#[cube(launch_unchecked, create_dummy_kernel)]
pub fn filters_kernel<F: Float>(
    weight: &[F],
    filters: &mut [Four],
    inputs: u32,
    outputs: u32,
    depth: u32,
    first_tile: u32,
    total: u32,
    #[define(F)] _dtype: ElemType,
) {
    let item = ABSOLUTE_POS;
    if item >= total as usize {
        terminate!();
    }
    let four = item % FOURS;
    let line = item / FOURS;
    let input = line % inputs as usize;
    let tap = line / inputs as usize % depth as usize;
    let tile = first_tile as usize + line / inputs as usize / depth as usize;
    let mut g = Array::<Four>::new(9usize);
    #[unroll]
    for k in 0..9usize {
        let mut values = Four::new(0.0f32);
        #[unroll]
        for lane in 0..4usize {
            let output = (tile * FOURS + four) * 4 + lane;
            if output < outputs as usize {
                let at = (output * inputs as usize + input) * depth as usize + tap;
                values.insert(lane, f32::cast_from(weight[at * 9 + k]));
            }
        }
        g[k] = values;
    }
    let half = Four::new(0.5f32);
    let mut rows = Array::<Four>::new(12usize);
    #[unroll]
    for x in 0..3usize {
        let outer = (g[x] + g[comptime!(6 + x)]) * half;
        let inner = g[comptime!(3 + x)] * half;
        rows[x] = g[x];
        rows[comptime!(3 + x)] = outer + inner;
        rows[comptime!(6 + x)] = outer - inner;
        rows[comptime!(9 + x)] = g[comptime!(6 + x)];
    }
    let start = line * POINTS * FOURS + four;
    #[unroll]
    for y in 0..4usize {
        let outer = (rows[comptime!(3 * y)] + rows[comptime!(3 * y + 2)]) * half;
        let inner = rows[comptime!(3 * y + 1)] * half;
        filters[start + comptime!(4 * y * FOURS)] = rows[comptime!(3 * y)];
        filters[start + comptime!((4 * y + 1) * FOURS)] = outer + inner;
        filters[start + comptime!((4 * y + 2) * FOURS)] = outer - inner;
        filters[start + comptime!((4 * y + 3) * FOURS)] = rows[comptime!(3 * y + 2)];
    }
}
