//! What follows the product, on the way to memory.

use cubecl::{
    cmma::{self, Matrix, MatrixLayout},
    prelude::*,
};

use super::{Form, Sizes, Tiles, product::block};
use crate::cube::gelu;

/// Adds the bias, applies GELU, and writes the tile whose corner is at `line`, `column`, a matrix at a time: how
/// those are laid out is the device's secret, so they pass through shared memory.
#[cube]
pub(super) fn finish<O: Float, N: Size>(
    sums: &Sequence<Matrix<f32>>,
    bias: &[Vector<f32, N>],
    out: &mut [Vector<O, N>],
    line: usize,
    column: usize,
    sizes: &Sizes,
    #[comptime] form: Form,
    #[comptime] tiles: Tiles,
) {
    let e = comptime!(tiles.edge);
    let along = comptime!(tiles.matrices[1]);
    let planes = comptime!(tiles.planes[0] * tiles.planes[1]);
    // Vectors of a line, and from one line to the next.
    let (width, pitch) = comptime!((e / 4, e / 4 + 1));
    let mut shared = Shared::<[Vector<f32, N>]>::new_slice(comptime!(planes * e * pitch));
    let own = UNIT_POS_Y as usize * comptime!(e * pitch);
    let (block_line, block_column) = block(tiles);
    #[unroll]
    for matrix in 0..comptime!(tiles.matrices[0] * along) {
        sync_plane();
        let end = own + comptime!(e * pitch);
        cmma::store(
            &mut shared[own..end],
            sums.index(matrix),
            comptime!(4 * pitch as u32),
            MatrixLayout::RowMajor,
        );
        sync_plane();
        let first_row = line + block_line + comptime!(matrix / along * e);
        let first_vector = (column + block_column) / 4 + comptime!(matrix % along * width);
        #[unroll]
        for i in 0..comptime!((e * width).div_ceil(tiles.plane)) {
            let item = UNIT_POS_X as usize + comptime!(i * tiles.plane);
            let row = first_row + item / width;
            let vector = first_vector + item % width;
            let vectors = sizes.n as usize / 4;
            if item < comptime!(e * width) && row < sizes.m as usize && vector < vectors {
                let mut value = shared[own + item / width * pitch + item % width];
                if comptime!(form.biased) {
                    value += bias[vector];
                }
                if comptime!(form.gelu) {
                    value = gelu::<N>(value);
                }
                out[row * vectors + vector] = Vector::cast_from(value);
            }
        }
    }
}
