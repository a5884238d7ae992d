//! A layer by matrix units: a cube computes a tile of the result, its planes blocks of the tile, in f16 with sums in
//! f32.
//!
//! Pieces of the operands pass through shared memory, the next one on its way while the units multiply. The result is
//! finished where it is written.

#![allow(clippy::too_many_arguments, reason = "a kernel has no state but its arguments")]

mod product;
mod result;
mod stage;

use cubecl::prelude::*;

use crate::cube::no_sums;
use product::add_products;
use result::finish;
use stage::{Piece, fetch, put};

/// Halves in the four words that are moved at a time.
pub const HALVES: usize = 8;

/// Halves beyond a line of shared memory, so that lines fall on different banks.
const PAD: usize = 8;

/// Lines of tiles that are worked on together, so that what they share is in the caches.
const GROUP: u32 = 8;

/// How a cube works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tiles {
    /// Edge of the matrices: 8 or 16.
    pub edge: usize,
    /// Units of a plane.
    pub plane: usize,
    /// Planes along the rows and the columns of a tile.
    pub planes: [usize; 2],
    /// Matrices of a plane along both.
    pub matrices: [usize; 2],
    /// Columns of the operands that are staged at a time; a multiple of 8 and of the edge.
    pub depth: usize,
}

impl Tiles {
    /// Rows and columns of a tile.
    pub const fn size(self) -> [usize; 2] {
        [self.planes[0] * self.matrices[0] * self.edge, self.planes[1] * self.matrices[1] * self.edge]
    }

    /// Units of a cube.
    pub const fn units(self) -> usize {
        self.planes[0] * self.planes[1] * self.plane
    }

    /// Fours of words from one staged line to the next.
    const fn pitch(self) -> usize {
        (self.depth + PAD) / HALVES
    }

    /// Bytes of shared memory of a cube.
    pub const fn shared_bytes(self) -> usize {
        let [rows, columns] = self.size();
        let sums = self.planes[0] * self.planes[1] * self.edge * (self.edge + 4);
        2 * HALVES * self.pitch() * (rows + columns) + 4 * sums
    }
}

/// What follows the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Form {
    pub biased: bool,
    pub gelu: bool,
}

/// Sizes of a launch.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub struct Sizes {
    /// Rows and columns of the result.
    pub m: u32,
    pub n: u32,
    /// Fours of words in a row of the operands.
    pub k: u32,
    /// This launch works on tiles `first..end`.
    pub first: u32,
    pub end: u32,
}

/// `x`: `[m, k]`, `w`: `[n, k]`, halves as words; `bias`: `[n]`, added if the form says so; `out`: `[m, n]`. `k` is a
/// multiple of the depth, `n` of 4. Units of a plane lie along x, planes along y.
#[cube(launch_unchecked, create_dummy_kernel)]
pub fn linear_kernel<F: Float, O: Float, N: Size>(
    x: &[Vector<u32, N>],
    w: &[Vector<u32, N>],
    bias: &[Vector<f32, N>],
    out: &mut [Vector<O, N>],
    sizes: Sizes,
    #[comptime] form: Form,
    #[comptime] tiles: Tiles,
    #[define(F, O)] _dtypes: [ElemType; 2],
) {
    let tile = CUBE_POS + sizes.first as usize;
    if tile >= sizes.end as usize {
        terminate!();
    }
    let size = comptime!(tiles.size());
    let (line, column) = corner(tile as u32, &sizes, size);
    let rows = Piece { first: line, of: sizes.m as usize, k: sizes.k as usize };
    let columns = Piece { first: column, of: sizes.n as usize, k: sizes.k as usize };
    let (count_x, count_w) = comptime!((size[0], size[1]));
    let mut staged_x = Shared::<[Vector<u32, N>]>::new_slice(comptime!(count_x * tiles.pitch()));
    let mut staged_w = Shared::<[Vector<u32, N>]>::new_slice(comptime!(count_w * tiles.pitch()));
    let mut next_x = Array::<Vector<u32, N>>::new(comptime!(stage::per_unit(count_x, tiles)));
    let mut next_w = Array::<Vector<u32, N>>::new(comptime!(stage::per_unit(count_w, tiles)));
    // Along the columns, for each line of matrices.
    let mut sums = no_sums(comptime!(tiles.matrices[0] * tiles.matrices[1]), tiles.edge);

    let steps = sizes.k as usize / comptime!(tiles.depth / HALVES);
    fetch::<N>(x, &rows, 0usize, &mut next_x, count_x, tiles);
    fetch::<N>(w, &columns, 0usize, &mut next_w, count_w, tiles);
    for step in 0..steps {
        sync_cube();
        put::<N>(&next_x, &mut staged_x, count_x, tiles);
        put::<N>(&next_w, &mut staged_w, count_w, tiles);
        sync_cube();
        if step + 1 < steps {
            fetch::<N>(x, &rows, step + 1, &mut next_x, count_x, tiles);
            fetch::<N>(w, &columns, step + 1, &mut next_w, count_w, tiles);
        }
        add_products::<F, N>(&staged_x, &staged_w, &mut sums, tiles);
    }
    finish::<O, N>(&sums, bias, out, line, column, &sizes, form, tiles);
}

/// The first row and column of tile number `tile`. Tiles follow one another down the lines of a group, then along.
#[cube]
fn corner(tile: u32, sizes: &Sizes, #[comptime] size: [usize; 2]) -> (usize, usize) {
    let lines = (sizes.m + comptime!(size[0] as u32 - 1)) / comptime!(size[0] as u32);
    let along = (sizes.n + comptime!(size[1] as u32 - 1)) / comptime!(size[1] as u32);
    let first = tile / (GROUP * along) * GROUP;
    let height = min(GROUP, lines - first);
    let at = tile % (GROUP * along);
    let line = first + at % height;
    let column = at / height;
    (line as usize * comptime!(size[0]), column as usize * comptime!(size[1]))
}
