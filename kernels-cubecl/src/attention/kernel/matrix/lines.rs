//! Vectors of halves, on their way from tensors to shared memory.

#![allow(clippy::if_same_then_else, reason = "the first of two is decided when a kernel is compiled")]

use cubecl::prelude::*;

use super::{
    super::{Form, Head, Table, rotated},
    LINE, Units,
};

/// Four halves, or eight in pairs of u32.
pub(super) type Line<S> = Vector<S, Const<LINE>>;

/// Two neighbouring values.
pub(super) type Pair = Vector<f32, Const<2>>;

/// Part of an operand, and where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Piece {
    /// Its first line in shared memory.
    pub line: usize,
    pub rows: usize,
    pub column: usize,
    pub columns: usize,
    pub rotate: bool,
    pub scale: bool,
}

/// Most steps that are written out, so that all reads are under way before the first is waited for.
const UNROLLED: usize = 8;

/// Brings the rows from `first` on to shared memory, copies of the last one beyond the operand's end.
#[cube]
pub(super) fn stage<F: Float, S: Numeric>(
    source: &Head<'_, S, Const<LINE>>,
    table: &Table<'_>,
    first: usize,
    scale: f32,
    operands: &mut Shared<[Line<S>]>,
    #[comptime] piece: Piece,
    #[comptime] form: Form,
    #[comptime] units: Units,
) {
    let lines = comptime!(piece.rows * piece.columns / units.halves());
    let steps = comptime!(lines.div_ceil(units.all()));
    #[unroll(comptime!(steps <= UNROLLED && !piece.scale))]
    for step in 0..steps {
        let item = UNIT_POS as usize + step * comptime!(units.all());
        if comptime!(lines.is_multiple_of(units.all())) {
            stage_line::<F, S>(source, table, first, item, scale, operands, piece, form, units);
        } else if item < lines {
            stage_line::<F, S>(source, table, first, item, scale, operands, piece, form, units);
        }
    }
}

/// Takes the unit's vectors of the rows from `first` on to registers, from `at` on.
#[cube]
pub(super) fn fetch<S: Numeric>(
    source: &Head<'_, S, Const<LINE>>,
    first: usize,
    next: &mut Array<Line<S>>,
    #[comptime] at: usize,
    #[comptime] d: usize,
    #[comptime] units: Units,
) {
    let per_row = comptime!(d / units.halves());
    #[unroll]
    for step in 0..comptime!(units.fetched(d)) {
        let item = UNIT_POS as usize + comptime!(step * units.all());
        let token = min(first + item / per_row, source.tokens - 1);
        next[comptime!(at + step)] = source.line(token, item % per_row);
    }
}

/// Puts them to shared memory, from line `line` on.
#[cube]
pub(super) fn put<S: Numeric>(
    next: &Array<Line<S>>,
    #[comptime] at: usize,
    operands: &mut Shared<[Line<S>]>,
    #[comptime] line: usize,
    #[comptime] d: usize,
    #[comptime] units: Units,
) {
    let per_row = comptime!(d / units.halves());
    #[unroll]
    for step in 0..comptime!(units.fetched(d)) {
        let item = UNIT_POS as usize + comptime!(step * units.all());
        operands[(line + item / per_row) * comptime!(units.pitch(d)) + item % per_row] =
            next[comptime!(at + step)];
    }
}

/// Brings vector number `item` of a piece.
#[cube]
fn stage_line<F: Float, S: Numeric>(
    source: &Head<'_, S, Const<LINE>>,
    table: &Table<'_>,
    first: usize,
    item: usize,
    scale: f32,
    operands: &mut Shared<[Line<S>]>,
    #[comptime] piece: Piece,
    #[comptime] form: Form,
    #[comptime] units: Units,
) {
    let per_row = comptime!(piece.columns / units.halves());
    let at = item % per_row + comptime!(piece.column / units.halves());
    let token = min(first + item / per_row, source.tokens - 1);
    let mut line = source.line(token, at);
    if comptime!(piece.rotate || piece.scale) {
        #[unroll]
        for p in 0..comptime!(units.halves() / 2) {
            let channel = at * comptime!(units.halves()) + comptime!(2 * p);
            let as_said = comptime!(Form { rotate: piece.rotate, ..form });
            let pair = pair::<F, S>(line, p, units);
            let pair = rotated::<Const<2>>(pair, table, token, channel, as_said) * Pair::new(scale);
            set_pair::<F, S>(&mut line, p, Vector::cast_from(pair), units);
        }
    }
    let pitch = comptime!(units.pitch(piece.columns));
    operands[(piece.line + item / per_row) * pitch + item % per_row] = line;
}

/// Two values of a vector, in f32.
#[cube]
fn pair<F: Float, S: Numeric>(line: Line<S>, #[comptime] at: usize, #[comptime] units: Units) -> Pair {
    let mut pair = Pair::new(0.0f32);
    if comptime!(units.packed) {
        pair = Pair::cast_from(Vector::<F, Const<2>>::reinterpret(line.extract(at)));
    } else {
        pair.insert(0usize, f32::cast_from(line.extract(comptime!(2 * at))));
        pair.insert(1usize, f32::cast_from(line.extract(comptime!(2 * at + 1))));
    }
    pair
}

/// Puts two values into a vector.
#[cube]
pub(super) fn set_pair<F: Float, S: Numeric>(
    line: &mut Line<S>,
    #[comptime] at: usize,
    pair: Vector<F, Const<2>>,
    #[comptime] units: Units,
) {
    if comptime!(units.packed) {
        line.insert(at, S::reinterpret(pair));
    } else {
        line.insert(comptime!(2 * at), S::cast_from(pair.extract(0usize)));
        line.insert(comptime!(2 * at + 1), S::cast_from(pair.extract(1usize)));
    }
}
