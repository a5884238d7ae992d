//! Winograd's minimal filtering over 4x4 outputs: 36 products where a plain 3x3 filter takes 144.
//!
//! A thread takes a block of tiles through all frames. It keeps its transformed inputs as long as later frames look
//! back at them, so each is transformed once; the sums over time and channels are made of the transformed values.

mod filters;
mod task;

use std::mem::MaybeUninit;

use self::{
    filters::Filters,
    task::{Scratch, Task},
};
use super::{
    geometry::Geometry,
    problem::Problem,
    share::Cut,
    transform::{OUT, POINTS},
};
use crate::{
    conv3d::FILTER_BYTES,
    host::{Output, on_all_threads},
    tile::{TileShape, on_tiles},
};

/// Transformed inputs a thread holds at most, unless one panel alone takes more.
const SCRATCH_BYTES: usize = 6 << 20;

/// Panels of tiles in one block at most.
const MOST_PANELS: usize = 4;

/// Below this many input channels the transforms cost more than they save.
const FEWEST_INPUTS: usize = 4;

/// Whether this form can carry the convolution and is the faster one. No count of frames enters: a frame takes the same
/// way in every chunk.
pub fn suits(shape: &Geometry) -> bool {
    let plane = shape.kernel[1..] == [3, 3] && shape.stride[1..] == [1, 1];
    let tiles = grid(shape).iter().product::<usize>().next_multiple_of(16);
    // In products of one filter with a plane. Estimates: transforming inputs and outputs adds a third; a filter costs
    // some six thousand, which a few frames share. Where the border truly lies was not measured.
    let products = tiles * POINTS * 4 / 3 + 2_000;
    plane && shape.inputs >= FEWEST_INPUTS && products < shape.pixels() * 9
}

/// Tiles over height and width.
fn grid(shape: &Geometry) -> [usize; 2] {
    [shape.out[1].div_ceil(OUT), shape.out[2].div_ceil(OUT)]
}

/// Writes all of the result.
pub fn convolve(problem: &Problem<'_>, out: &mut [MaybeUninit<f32>]) {
    let (shape, tile) = (&problem.shape, TileShape::of_this_machine());
    let groups = shape.outputs.div_ceil(tile.rows);
    let at_once = (FILTER_BYTES / Filters::group_bytes(problem, tile.rows)).clamp(1, groups);
    let mut filters = Filters::new(problem, at_once, tile.rows);
    let panels = grid(shape).iter().product::<usize>().div_ceil(tile.columns);
    let panel_bytes = POINTS * shape.kernel[0] * shape.inputs * tile.columns * size_of::<f32>();
    let most = (SCRATCH_BYTES / panel_bytes).clamp(1, MOST_PANELS);
    let out = Output::new(out);
    for first in (0..groups).step_by(at_once) {
        let count = at_once.min(groups - first);
        filters.load(problem, first..first + count);
        let cut = Cut::new(panels, most, count, shape.batch);
        let scratch = || Scratch::new(shape, tile, cut.most_panels());
        on_all_threads(shape.batch * cut.pieces(), scratch, |scratch, n| {
            let (panels, groups) = cut.piece(n % cut.pieces());
            let (batch, groups) = (n / cut.pieces(), first + groups.start..first + groups.end);
            on_tiles(Task { problem, filters: &filters, out: &out, scratch, batch, panels, groups });
        });
    }
}
