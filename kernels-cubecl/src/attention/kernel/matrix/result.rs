//! The result, which passes through the scores' shared memory wherever its rows must be known; each plane's through
//! its own part.

use cubecl::{
    cmma::{Matrix, MatrixLayout, load_with_layout},
    prelude::*,
};

use super::{
    super::{Form, Place, Sizes},
    Four, Staged, Units,
    lines::{Line, set_pair},
    products::{first_row, scores_at, store_sums},
};

/// Columns of the result that pass through shared memory at a time.
const BLOCK: usize = 16;

/// Multiplies each row of the result by its factor.
#[cube]
pub(super) fn rescale<S: Numeric>(
    result: &mut Sequence<Matrix<f32>>,
    shared: &mut Staged<S>,
    #[comptime] d: usize,
    #[comptime] units: Units,
) {
    let per_row = comptime!(BLOCK / 4);
    #[unroll]
    for column in 0..comptime!(d / BLOCK) {
        store_block(result, column, &mut shared.scores, d, units);
        sync_plane();
        for item in range_stepped(UNIT_POS_X as usize, comptime!(units.rows * per_row), units.plane) {
            let line = first_row(units) + item / per_row;
            let at = line * comptime!(units.score_pitch()) + item % per_row;
            shared.scores[at] = shared.scores[at] * Four::new(shared.factors[line]);
        }
        sync_plane();
        load_block(result, column, &shared.scores, d, units);
        sync_plane();
    }
}

/// Stores the plane's rows of a block of 16 columns of the result where the scores were.
#[cube]
fn store_block(
    result: &mut Sequence<Matrix<f32>>,
    #[comptime] column: usize,
    scores: &mut Shared<[Four]>,
    #[comptime] d: usize,
    #[comptime] units: Units,
) {
    let e = comptime!(units.edge);
    #[unroll]
    for r in 0..comptime!(units.rows / e) {
        #[unroll]
        for c in 0..comptime!(BLOCK / e) {
            let at = comptime!(r * (d / e) + column * (BLOCK / e) + c);
            store_sums(result.index(at), r, c, scores, units);
        }
    }
}

/// Loads the plane's rows of a block back into the result.
#[cube]
fn load_block(
    result: &mut Sequence<Matrix<f32>>,
    #[comptime] column: usize,
    scores: &Shared<[Four]>,
    #[comptime] d: usize,
    #[comptime] units: Units,
) {
    let e = comptime!(units.edge);
    #[unroll]
    for r in 0..comptime!(units.rows / e) {
        #[unroll]
        for c in 0..comptime!(BLOCK / e) {
            let at = scores_at(r, c, units);
            load_with_layout(
                result.index_mut(comptime!(r * (d / e) + column * (BLOCK / e) + c)),
                &scores[at..comptime!(units.score_vectors())],
                comptime!((units.score_pitch() * 4) as u32),
                MatrixLayout::RowMajor,
            );
        }
    }
}

/// Writes the result, each row times its factor.
#[cube]
pub(super) fn store<F: Float, S: Numeric>(
    out: &mut [Line<S>],
    result: &mut Sequence<Matrix<f32>>,
    shared: &mut Staged<S>,
    place: &Place,
    sizes: &Sizes,
    #[comptime] form: Form,
    #[comptime] units: Units,
) {
    #[unroll]
    for column in 0..comptime!(form.d / BLOCK) {
        sync_plane();
        store_block(result, column, &mut shared.scores, form.d, units);
        sync_plane();
        write_block::<F, S>(out, column, &shared.scores, &shared.factors, place, sizes, form, units);
    }
}

/// Writes the plane's rows of a block of 16 columns from shared memory.
#[cube]
fn write_block<F: Float, S: Numeric>(
    out: &mut [Line<S>],
    #[comptime] column: usize,
    scores: &Shared<[Four]>,
    factors: &Shared<[f32]>,
    place: &Place,
    sizes: &Sizes,
    #[comptime] form: Form,
    #[comptime] units: Units,
) {
    let per_row = comptime!(BLOCK / units.halves());
    for item in range_stepped(UNIT_POS_X as usize, comptime!(units.rows * per_row), units.plane) {
        let line = first_row(units) + item / per_row;
        let query = place.row + line;
        if query < sizes.lq as usize {
            let at = item % per_row;
            let first = line * comptime!(units.score_pitch()) + at * comptime!(units.halves() / 4);
            let row = place.result_row(query, sizes) * comptime!(form.d / units.halves());
            out[row + comptime!(column * per_row) + at] = halves::<F, S>(scores, first, factors[line], units);
        }
    }
}

/// The vector of halves of the scores from vector `first` on, times `factor`.
#[cube]
fn halves<F: Float, S: Numeric>(
    scores: &Shared<[Four]>,
    first: usize,
    factor: f32,
    #[comptime] units: Units,
) -> Line<S> {
    let mut line = Line::<S>::empty();
    #[unroll]
    for p in 0..comptime!(units.halves() / 2) {
        let four = scores[first + comptime!(p / 2)];
        let mut pair = Vector::<f32, Const<2>>::new(0.0f32);
        pair.insert(0usize, four.extract(comptime!(p % 2 * 2)) * factor);
        pair.insert(1usize, four.extract(comptime!(p % 2 * 2 + 1)) * factor);
        set_pair::<F, S>(&mut line, p, Vector::cast_from(pair), units);
    }
    line
}
