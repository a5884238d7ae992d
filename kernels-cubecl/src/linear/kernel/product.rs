//! Products of staged pieces by matrices of the device's own layout.

use cubecl::{
    cmma::{self, Matrix, MatrixIdent, MatrixLayout},
    prelude::*,
};

use super::{HALVES, Tiles};

/// The matrix of lines `line..`, columns from matrix number `column` on.
#[cube]
fn operand<F: Float, N: Size>(
    staged: &Shared<[Vector<u32, N>]>,
    line: usize,
    #[comptime] column: usize,
    #[comptime] ident: MatrixIdent,
    #[comptime] layout: MatrixLayout,
    #[comptime] tiles: Tiles,
) -> Matrix<F> {
    let e = comptime!(tiles.edge);
    let pitch = comptime!(tiles.pitch());
    // SAFETY: loaded at once.
    let mut matrix = unsafe { Matrix::<F>::uninitialized(ident, e, e, e, layout) };
    let at = line * pitch + comptime!(column * e / HALVES);
    let end = at + comptime!((e - 1) * pitch + e / HALVES);
    // In words.
    cmma::load(&mut matrix, &staged[at..end], comptime!(4 * pitch as u32));
    matrix
}

/// The first line and column of the plane's block in the tile.
#[cube]
pub(super) fn block(#[comptime] tiles: Tiles) -> (usize, usize) {
    let plane = UNIT_POS_Y as usize;
    let line = plane / comptime!(tiles.planes[1]) * comptime!(tiles.matrices[0] * tiles.edge);
    let column = plane % comptime!(tiles.planes[1]) * comptime!(tiles.matrices[1] * tiles.edge);
    (line, column)
}

/// Adds the products of the staged pieces.
#[cube]
pub(super) fn add_products<F: Float, N: Size>(
    x: &Shared<[Vector<u32, N>]>,
    w: &Shared<[Vector<u32, N>]>,
    sums: &mut Sequence<Matrix<f32>>,
    #[comptime] tiles: Tiles,
) {
    let e = comptime!(tiles.edge);
    let along = comptime!(tiles.matrices[1]);
    let (line, column) = block(tiles);
    #[unroll]
    for depth in 0..comptime!(tiles.depth / e) {
        let mut rows = Sequence::<Matrix<F>>::new();
        #[unroll]
        for r in 0..comptime!(tiles.matrices[0]) {
            rows.push(operand::<F, N>(x, line + r * e, depth, MatrixIdent::A, MatrixLayout::RowMajor, tiles));
        }
        #[unroll]
        for c in 0..along {
            let columns =
                operand::<F, N>(w, column + c * e, depth, MatrixIdent::B, MatrixLayout::ColMajor, tiles);
            #[unroll]
            for r in 0..comptime!(tiles.matrices[0]) {
                let sum = sums.index(comptime!(r * along + c));
                cmma::execute(rows.index(r), &columns, sum, sum);
            }
        }
    }
}
