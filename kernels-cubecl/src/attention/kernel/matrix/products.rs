//! The two products, by matrices of the device's own layout: scores of queries and keys, and values by weight.

use cubecl::{
    cmma::{Matrix, MatrixIdent, MatrixLayout, execute, store},
    prelude::*,
};

use super::{super::TILE, KEYS, PAD, ROWS, SCORE_PITCH, Units, WEIGHT_PITCH};

/// The first of the plane's rows.
#[cube]
pub(super) fn first_row() -> usize {
    UNIT_POS_Y as usize * ROWS
}

/// The matrix whose corner is element `at` of a tile of lines of `pitch` elements.
#[cube]
fn operand<F: Float>(
    tile: &Shared<[F]>,
    at: usize,
    #[comptime] pitch: usize,
    #[comptime] ident: MatrixIdent,
    #[comptime] layout: MatrixLayout,
    #[comptime] units: Units,
) -> Matrix<F> {
    let e = comptime!(units.edge);
    let end = comptime!(TILE * pitch);
    Matrix::<F>::from_slice(ident, e, e, e, layout, &tile[at..end], comptime!(pitch as u32))
}

/// So many sums of nothing.
#[cube]
fn zeros(#[comptime] count: usize, #[comptime] units: Units) -> Sequence<Matrix<f32>> {
    let e = comptime!(units.edge);
    let mut sums = Sequence::<Matrix<f32>>::new();
    #[unroll]
    for _ in 0..count {
        sums.push(Matrix::<f32>::from_value(
            MatrixIdent::Accumulator,
            e,
            e,
            e,
            MatrixLayout::Undefined,
            0.0f32,
        ));
    }
    sums
}

/// The plane's result before the first key: matrices along the channels, for each line of matrices.
#[cube]
pub(super) fn empty_result(#[comptime] d: usize, #[comptime] units: Units) -> Sequence<Matrix<f32>> {
    zeros(comptime!(ROWS / units.edge * (d / units.edge)), units)
}

/// The plane's queries: matrices along the channels, for each line of matrices.
#[cube]
pub(super) fn load_queries<F: Float>(
    operands: &Shared<[F]>,
    #[comptime] d: usize,
    #[comptime] units: Units,
) -> Sequence<Matrix<F>> {
    let e = comptime!(units.edge);
    let pitch = comptime!(d + PAD);
    let mut queries = Sequence::<Matrix<F>>::new();
    #[unroll]
    for r in 0..comptime!(ROWS / e) {
        #[unroll]
        for c in 0..comptime!(d / e) {
            let at = (first_row() + r * e) * pitch + c * e;
            queries.push(operand(operands, at, pitch, MatrixIdent::A, MatrixLayout::RowMajor, units));
        }
    }
    queries
}

/// The plane's scores against the staged keys.
#[cube]
pub(super) fn score<F: Float>(
    queries: &Sequence<Matrix<F>>,
    operands: &Shared<[F]>,
    scores: &mut Shared<[f32]>,
    #[comptime] d: usize,
    #[comptime] units: Units,
) {
    let e = comptime!(units.edge);
    #[unroll]
    for key in 0..comptime!(KEYS / e) {
        let sums = score_keys(queries, operands, key, d, units);
        #[unroll]
        for r in 0..comptime!(ROWS / e) {
            let at = (first_row() + r * e) * SCORE_PITCH + key * e;
            store_sums(sums.index(r), at, scores);
        }
    }
}

/// Scores against the keys of matrix number `key`, for each line of matrices.
#[cube]
fn score_keys<F: Float>(
    queries: &Sequence<Matrix<F>>,
    operands: &Shared<[F]>,
    #[comptime] key: usize,
    #[comptime] d: usize,
    #[comptime] units: Units,
) -> Sequence<Matrix<f32>> {
    let e = comptime!(units.edge);
    let pitch = comptime!(d + PAD);
    let steps = comptime!(d / e);
    let sums = zeros(comptime!(ROWS / e), units);
    #[unroll]
    for c in 0..steps {
        let at = comptime!(key * e * pitch + c * e);
        let keys = operand(operands, at, pitch, MatrixIdent::B, MatrixLayout::ColMajor, units);
        #[unroll]
        for r in 0..comptime!(ROWS / e) {
            let sum = sums.index(r);
            execute(queries.index(comptime!(r * steps + c)), &keys, sum, sum);
        }
    }
    sums
}

/// Stores sums where the scores are, from element `at` on.
#[cube]
pub(super) fn store_sums(sums: &Matrix<f32>, at: usize, scores: &mut Shared<[f32]>) {
    let end = comptime!(TILE * SCORE_PITCH);
    store(&mut scores[at..end], sums, comptime!(SCORE_PITCH as u32), MatrixLayout::RowMajor);
}

/// Adds the staged values by weight.
#[cube]
pub(super) fn add_values<F: Float>(
    weights: &Shared<[F]>,
    operands: &Shared<[F]>,
    result: &mut Sequence<Matrix<f32>>,
    #[comptime] d: usize,
    #[comptime] units: Units,
) {
    let e = comptime!(units.edge);
    let pitch = comptime!(d + PAD);
    #[unroll]
    for key in 0..comptime!(KEYS / e) {
        let rows = load_weights(weights, key, units);
        #[unroll]
        for c in 0..comptime!(d / e) {
            let at = comptime!((KEYS + key * e) * pitch + c * e);
            let values = operand(operands, at, pitch, MatrixIdent::B, MatrixLayout::RowMajor, units);
            #[unroll]
            for r in 0..comptime!(ROWS / e) {
                let sum = result.index(comptime!(r * (d / e) + c));
                execute(rows.index(r), &values, sum, sum);
            }
        }
    }
}

/// The plane's weights of the keys of matrix number `key`, for each line of matrices.
#[cube]
fn load_weights<F: Float>(
    weights: &Shared<[F]>,
    #[comptime] key: usize,
    #[comptime] units: Units,
) -> Sequence<Matrix<F>> {
    let e = comptime!(units.edge);
    let mut rows = Sequence::<Matrix<F>>::new();
    #[unroll]
    for r in 0..comptime!(ROWS / e) {
        let at = (first_row() + r * e) * WEIGHT_PITCH + key * e;
        rows.push(operand(weights, at, WEIGHT_PITCH, MatrixIdent::A, MatrixLayout::RowMajor, units));
    }
    rows
}
