//! The two products, by matrices of the device's own layout: scores of queries and keys, and values by weight.

use cubecl::{
    cmma::{Matrix, MatrixIdent, MatrixLayout, execute, load, store},
    prelude::*,
};

use super::{
    super::{Form, Head, Table},
    Four, LINE, Units,
    lines::{Line, Piece, stage},
};
use crate::cube::no_sums;

/// The first of the plane's rows.
#[cube]
pub(super) fn first_row(#[comptime] units: Units) -> usize {
    UNIT_POS_Y as usize * comptime!(units.rows)
}

/// The matrix whose corner is vector `at` of a tile of lines of `pitch` vectors.
#[cube]
fn operand<F: Float, S: Numeric>(
    tile: &Shared<[Line<S>]>,
    at: usize,
    #[comptime] end: usize,
    #[comptime] pitch: usize,
    #[comptime] ident: MatrixIdent,
    #[comptime] layout: MatrixLayout,
    #[comptime] units: Units,
) -> Matrix<F> {
    let e = comptime!(units.edge);
    // SAFETY: it is loaded at once.
    let mut matrix = unsafe { Matrix::<F>::uninitialized(ident, e, e, e, layout) };
    load(&mut matrix, &tile[at..end], comptime!((pitch * LINE) as u32));
    matrix
}

/// The plane's result before the first key: matrices along the channels, for each line of matrices.
#[cube]
pub(super) fn empty_result(#[comptime] d: usize, #[comptime] units: Units) -> Sequence<Matrix<f32>> {
    no_sums(comptime!(units.rows / units.edge * (d / units.edge)), units.edge)
}

/// The plane's queries, rotated if the form rotates, times `scale`: matrices along the lines, for each column of
/// matrices. They pass through shared memory, in parts if it does not hold all.
#[cube]
pub(super) fn load_queries<F: Float, S: Numeric>(
    source: &Head<'_, S, Const<LINE>>,
    table: &Table<'_>,
    row: usize,
    scale: f32,
    operands: &mut Shared<[Line<S>]>,
    #[comptime] form: Form,
    #[comptime] units: Units,
) -> Sequence<Matrix<F>> {
    let columns = comptime!(units.query_columns(form.d));
    let mut queries = Sequence::<Matrix<F>>::new();
    #[unroll]
    for part in 0..comptime!(form.d / columns) {
        let piece = comptime!(Piece {
            line: 0,
            rows: units.tile(),
            column: part * columns,
            columns,
            rotate: form.rotate,
            scale: true
        });
        sync_cube();
        stage::<F, S>(source, table, row, scale, operands, piece, form, units);
        sync_cube();
        push_queries::<F, S>(&mut queries, &*operands, columns, units);
    }
    queries
}

/// Adds the staged columns of the plane's queries.
#[cube]
fn push_queries<F: Float, S: Numeric>(
    queries: &mut Sequence<Matrix<F>>,
    operands: &Shared<[Line<S>]>,
    #[comptime] columns: usize,
    #[comptime] units: Units,
) {
    let e = comptime!(units.edge);
    let pitch = comptime!(units.pitch(columns));
    let end = comptime!(units.tile() * pitch);
    #[unroll]
    for c in 0..comptime!(columns / e) {
        #[unroll]
        for r in 0..comptime!(units.rows / e) {
            let at = (first_row(units) + r * e) * pitch + comptime!(c * e / units.halves());
            queries.push(operand::<F, S>(
                operands,
                at,
                end,
                pitch,
                MatrixIdent::A,
                MatrixLayout::RowMajor,
                units,
            ));
        }
    }
}

/// The plane's scores against the staged keys.
#[cube]
pub(super) fn score<F: Float, S: Numeric>(
    queries: &Sequence<Matrix<F>>,
    operands: &Shared<[Line<S>]>,
    scores: &mut Shared<[Four]>,
    #[comptime] d: usize,
    #[comptime] units: Units,
) {
    let e = comptime!(units.edge);
    let lines = comptime!(units.rows / e);
    let sums = no_sums(comptime!(units.keys / e * lines), e);
    #[unroll]
    for c in 0..comptime!(d / e) {
        #[unroll]
        for key in 0..comptime!(units.keys / e) {
            let keys = load_keys::<F, S>(operands, key, c, d, units);
            #[unroll]
            for r in 0..lines {
                let sum = sums.index(comptime!(key * lines + r));
                execute(queries.index(comptime!(c * lines + r)), &keys, sum, sum);
            }
        }
    }
    #[unroll]
    for key in 0..comptime!(units.keys / e) {
        #[unroll]
        for r in 0..lines {
            store_sums(sums.index(comptime!(key * lines + r)), r, key, scores, units);
        }
    }
}

/// Channels of matrix number `column` of the keys of matrix number `key`.
#[cube]
fn load_keys<F: Float, S: Numeric>(
    operands: &Shared<[Line<S>]>,
    #[comptime] key: usize,
    #[comptime] column: usize,
    #[comptime] d: usize,
    #[comptime] units: Units,
) -> Matrix<F> {
    let e = comptime!(units.edge);
    let pitch = comptime!(units.pitch(d));
    let at = comptime!(key * e * pitch + column * e / units.halves());
    let end = comptime!(units.keys * pitch);
    operand::<F, S>(operands, at.runtime(), end, pitch, MatrixIdent::B, MatrixLayout::ColMajor, units)
}

/// Stores sums as block `line`, `column` of matrices of the plane's scores.
#[cube]
pub(super) fn store_sums(
    sums: &Matrix<f32>,
    #[comptime] line: usize,
    #[comptime] column: usize,
    scores: &mut Shared<[Four]>,
    #[comptime] units: Units,
) {
    let at = scores_at(line, column, units);
    let end = comptime!(units.score_vectors());
    let pitch = comptime!((units.score_pitch() * 4) as u32);
    store(&mut scores[at..end], sums, pitch, MatrixLayout::RowMajor);
}

/// The first vector of block `line`, `column` of matrices of the plane's scores.
#[cube]
pub(super) fn scores_at(
    #[comptime] line: usize,
    #[comptime] column: usize,
    #[comptime] units: Units,
) -> usize {
    let e = comptime!(units.edge);
    (first_row(units) + line * e) * comptime!(units.score_pitch()) + comptime!(column * e / 4)
}

/// Adds the staged values by weight.
#[cube]
pub(super) fn add_values<F: Float, S: Numeric>(
    weights: &Shared<[Line<S>]>,
    operands: &Shared<[Line<S>]>,
    result: &mut Sequence<Matrix<f32>>,
    #[comptime] d: usize,
    #[comptime] units: Units,
) {
    let e = comptime!(units.edge);
    let pitch = comptime!(units.pitch(d));
    let end = comptime!((2 * units.keys) * pitch);
    #[unroll]
    for key in 0..comptime!(units.keys / e) {
        let rows = load_weights::<F, S>(weights, key, units);
        #[unroll]
        for c in 0..comptime!(d / e) {
            let at = comptime!((units.keys + key * e) * pitch + c * e / units.halves());
            let layout = MatrixLayout::RowMajor;
            let values = operand::<F, S>(operands, at.runtime(), end, pitch, MatrixIdent::B, layout, units);
            #[unroll]
            for r in 0..comptime!(units.rows / e) {
                let sum = result.index(comptime!(r * (d / e) + c));
                execute(rows.index(r), &values, sum, sum);
            }
        }
    }
}

/// The plane's weights of the keys of matrix number `key`, for each line of matrices.
#[cube]
fn load_weights<F: Float, S: Numeric>(
    weights: &Shared<[Line<S>]>,
    #[comptime] key: usize,
    #[comptime] units: Units,
) -> Sequence<Matrix<F>> {
    let e = comptime!(units.edge);
    let pitch = comptime!(units.pitch(units.keys));
    let end = comptime!(units.weight_lines());
    let mut rows = Sequence::<Matrix<F>>::new();
    #[unroll]
    for r in 0..comptime!(units.rows / e) {
        let at = (first_row(units) + r * e) * pitch + comptime!(key * e / units.halves());
        rows.push(operand::<F, S>(weights, at, end, pitch, MatrixIdent::A, MatrixLayout::RowMajor, units));
    }
    rows
}
