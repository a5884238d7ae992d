//! Operands on their way to shared memory.

#![allow(clippy::too_many_arguments, reason = "a kernel has no state but its arguments")]

use cubecl::prelude::*;

use super::{
    super::{Form, Head, Table, rotated},
    Four, PIECE, PITCH, SIDE, STAGE,
};

/// Brings 16 channels of 64 rows into operand `operand` of the stage, as `[channel][row]`: rotated, times `scale`,
/// zero beyond the operand's rows and channels. Operand 0 is loaded by the first units, operand 1 by those after them.
#[cube]
pub(super) fn load_rows<F: Float, N: Size>(
    source: &Head<'_, F, N>,
    table: &Table<'_>,
    first: usize,
    channel: usize,
    scale: f32,
    #[comptime] operand: usize,
    stage: &mut Shared<[Four]>,
    #[comptime] form: Form,
) {
    let n = N::value();
    let per_row = comptime!(PIECE / n);
    let loads = comptime!(per_row * SIDE);
    let unit = UNIT_POS as usize;
    if unit >= comptime!(operand * loads) && unit < comptime!((operand + 1) * loads) {
        let item = unit - comptime!(operand * loads);
        let column = item % per_row;
        let group = item / per_row;
        let values = four_rows(source, table, first + 4 * group, channel + column * n, scale, form);
        #[unroll]
        for c in 0..n {
            stage[comptime!(operand * STAGE) + (column * n + c) * PITCH + group] = lane(&values, c);
        }
    }
}

/// Channels `at..` of the four rows from `first` on.
#[cube]
fn four_rows<F: Float, N: Size>(
    source: &Head<'_, F, N>,
    table: &Table<'_>,
    first: usize,
    at: usize,
    scale: f32,
    #[comptime] form: Form,
) -> Array<Vector<f32, N>> {
    let mut values = Array::<Vector<f32, N>>::new(4usize);
    if at < comptime!(form.d) {
        #[unroll]
        for r in 0..4usize {
            let token = first + r;
            if token < source.tokens {
                let value = source.vector(token, at / N::value());
                values[r] = rotated::<N>(value, table, token, at, form) * Vector::new(scale);
            }
        }
    }
    values
}

/// Lane `c` of four vectors.
#[cube]
fn lane<N: Size>(values: &Array<Vector<f32, N>>, #[comptime] c: usize) -> Four {
    let mut line = Four::new(0.0f32);
    #[unroll]
    for r in 0..4usize {
        line.insert(r, values[r].extract(c));
    }
    line
}

/// Brings 16 rows of values into the stage, as `[key][column]`, zero beyond the last.
#[cube]
pub(super) fn load_values<F: Float, N: Size>(
    values: &Head<'_, F, N>,
    first: usize,
    stage: &mut Shared<[Four]>,
    #[comptime] form: Form,
) {
    let fours = comptime!(form.d.div_ceil(4));
    let loads = comptime!(PIECE * fours);
    #[unroll]
    for round in 0..comptime!(loads.div_ceil(SIDE * SIDE)) {
        let item = UNIT_POS as usize + round * SIDE * SIDE;
        if item < loads {
            stage[item] = four_channels(values, first + item / fours, item % fours * 4, form);
        }
    }
}

/// Channels `at..` of a row, zero beyond the last row and channel.
#[cube]
fn four_channels<F: Float, N: Size>(
    source: &Head<'_, F, N>,
    token: usize,
    at: usize,
    #[comptime] form: Form,
) -> Four {
    let n = N::value();
    let mut line = Four::new(0.0f32);
    if token < source.tokens {
        #[unroll]
        for part in 0..comptime!(4 / n) {
            if at + part * n < comptime!(form.d) {
                let value = source.vector(token, at / n + part);
                #[unroll]
                for c in 0..n {
                    line.insert(comptime!(part * n + c), value.extract(c));
                }
            }
        }
    }
    line
}
