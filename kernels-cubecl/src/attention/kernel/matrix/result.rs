//! The result, which passes through the scores' shared memory wherever its rows must be known.

use cubecl::{
    cmma::{Matrix, MatrixLayout, load_with_layout},
    prelude::*,
};

use super::{
    super::{Form, Place, Sizes, TILE},
    BLOCK, PLANES, ROWS, SCORE_PITCH, Staged, Units,
    products::{first_row, store_sums},
};

/// Multiplies each row of the result by its factor.
#[cube]
pub(super) fn rescale<F: Float>(
    result: &mut Sequence<Matrix<f32>>,
    shared: &mut Staged<F>,
    #[comptime] d: usize,
    #[comptime] units: Units,
) {
    #[unroll]
    for column in 0..comptime!(d / BLOCK) {
        store_block(result, column, &mut shared.scores, d, units);
        sync_cube();
        for item in range_stepped(UNIT_POS as usize, comptime!(TILE * BLOCK), comptime!(PLANES * units.plane))
        {
            let line = item / BLOCK;
            shared.scores[line * SCORE_PITCH + item % BLOCK] *= shared.factors[line];
        }
        sync_cube();
        load_block(result, column, &shared.scores, d, units);
        sync_cube();
    }
}

/// Stores the plane's rows of a block of 16 columns of the result where the scores were.
#[cube]
fn store_block(
    result: &mut Sequence<Matrix<f32>>,
    #[comptime] column: usize,
    scores: &mut Shared<[f32]>,
    #[comptime] d: usize,
    #[comptime] units: Units,
) {
    let e = comptime!(units.edge);
    #[unroll]
    for r in 0..comptime!(ROWS / e) {
        #[unroll]
        for c in 0..comptime!(BLOCK / e) {
            let at = (first_row() + r * e) * SCORE_PITCH + c * e;
            store_sums(result.index(comptime!(r * (d / e) + column * (BLOCK / e) + c)), at, scores);
        }
    }
}

/// Loads the plane's rows of a block back into the result.
#[cube]
fn load_block(
    result: &mut Sequence<Matrix<f32>>,
    #[comptime] column: usize,
    scores: &Shared<[f32]>,
    #[comptime] d: usize,
    #[comptime] units: Units,
) {
    let e = comptime!(units.edge);
    #[unroll]
    for r in 0..comptime!(ROWS / e) {
        #[unroll]
        for c in 0..comptime!(BLOCK / e) {
            let at = (first_row() + r * e) * SCORE_PITCH + c * e;
            load_with_layout(
                result.index_mut(comptime!(r * (d / e) + column * (BLOCK / e) + c)),
                &scores[at..comptime!(TILE * SCORE_PITCH)],
                comptime!(SCORE_PITCH as u32),
                MatrixLayout::RowMajor,
            );
        }
    }
}

/// Writes the result, each row times its factor.
#[cube]
pub(super) fn store<F: Float, N: Size>(
    out: &mut [Vector<F, N>],
    result: &mut Sequence<Matrix<f32>>,
    shared: &mut Staged<F>,
    place: &Place,
    sizes: &Sizes,
    #[comptime] form: Form,
    #[comptime] units: Units,
) {
    #[unroll]
    for column in 0..comptime!(form.d / BLOCK) {
        sync_cube();
        store_block(result, column, &mut shared.scores, form.d, units);
        sync_cube();
        write_block::<F, N>(out, column, &shared.scores, &shared.factors, place, sizes, form, units);
    }
}

/// Writes a block of 16 columns from shared memory.
#[cube]
fn write_block<F: Float, N: Size>(
    out: &mut [Vector<F, N>],
    #[comptime] column: usize,
    scores: &Shared<[f32]>,
    factors: &Shared<[f32]>,
    place: &Place,
    sizes: &Sizes,
    #[comptime] form: Form,
    #[comptime] units: Units,
) {
    let n = N::value();
    let per_row = comptime!(BLOCK / n);
    for item in range_stepped(UNIT_POS as usize, comptime!(TILE * per_row), comptime!(PLANES * units.plane)) {
        let line = item / per_row;
        let at = item % per_row;
        let query = place.row + line;
        if query < sizes.lq as usize {
            let mut vector = Vector::<F, N>::empty();
            #[unroll]
            for c in 0..n {
                let value = scores[line * SCORE_PITCH + at * n + c] * factors[line];
                vector.insert(c, F::cast_from(value));
            }
            let row = place.result_row(query, sizes) * comptime!(form.d / n);
            out[row + comptime!(column * per_row) + at] = vector;
        }
    }
}
