//! The form for a few rows of activations: 16 units of a cube share a row of the weight, a word each at a time.

#![allow(clippy::too_many_arguments, reason = "a kernel has no state but its arguments")]

use cubecl::prelude::*;

use super::{
    CODES, Form, SIDE, Sizes,
    codes::{Weight, value, write_book},
};

/// Rows of activations of a cube at most: sums in a unit's registers.
pub const MOST_ROWS: usize = 8;

/// Outputs of a cube.
pub const OUTPUTS: usize = SIDE;

/// Bytes of shared memory of a cube: a sum of each unit for each row, and the code book.
pub const SHARED_BYTES: usize = (MOST_ROWS * SIDE * SIDE + CODES) * 4;

/// The arguments of [`quantized_product_kernel`](super::quantized_product_kernel); tiles are 16 columns of `rows` rows of
/// `out`, row by row.
#[cube(launch_unchecked, create_dummy_kernel)]
pub fn quantized_rows_kernel<X: Float, S: Float, N: Size>(
    x: &[Vector<X, N>],
    words: &[u32],
    scales: &[S],
    codes: &[u32],
    map: &[f32],
    out: &mut [f32],
    sizes: Sizes,
    offset: f32,
    #[comptime] form: Form,
    #[comptime] rows: usize,
    #[define(X, S)] _dtypes: [ElemType; 2],
) {
    let tile = CUBE_POS + sizes.first as usize;
    if tile >= sizes.end as usize {
        terminate!();
    }
    let unit = UNIT_POS as usize;
    let tiles = (sizes.n as usize + OUTPUTS - 1) / OUTPUTS;
    let column = tile % tiles * OUTPUTS + unit / SIDE;
    let row = tile / tiles * rows;
    let weight = Weight::<S>::new(words, scales, codes, map, offset);
    let mut book = Shared::<[f32]>::new_slice(CODES);
    write_book(&mut book, form);
    sync_cube();
    let mut sums = Array::<f32>::new(rows);
    #[unroll]
    for r in 0..rows {
        sums[r] = 0.0f32;
    }
    if column < sizes.n as usize {
        let per_row = sizes.k as usize / comptime!(form.per_word());
        let own = unit % SIDE;
        for step in 0..(per_row + SIDE - 1) / SIDE {
            let at = step * SIDE + own;
            if at < per_row {
                add_word::<X, S, N>(x, &weight, &book, row, column, at, &sizes, &mut sums, form, rows);
            }
        }
    }
    store(out, &sums, row, column, &sizes, rows);
}

/// Adds the products of word number `at` of row `column` of the weight with each of the rows of `x` from `row` on.
#[cube]
fn add_word<X: Float, S: Float, N: Size>(
    x: &[Vector<X, N>],
    weight: &Weight<'_, S>,
    book: &Shared<[f32]>,
    row: usize,
    column: usize,
    at: usize,
    sizes: &Sizes,
    sums: &mut Array<f32>,
    #[comptime] form: Form,
    #[comptime] rows: usize,
) {
    let per_word = comptime!(form.per_word());
    let k = sizes.k as usize;
    let word = weight.word(column * (k / per_word) + at);
    let scale = weight.scale(column, at * per_word, sizes, form);
    let mut values = Array::<f32>::new(per_word);
    #[unroll]
    for c in 0..per_word {
        values[c] = value(word, book, c, form) * scale;
    }
    #[unroll]
    for r in 0..rows {
        if row + r < sizes.m as usize {
            #[unroll]
            for part in 0..comptime!(per_word / 4) {
                let four = Vector::<f32, N>::cast_from(x[((row + r) * k + at * per_word) / 4 + part]);
                #[unroll]
                for c in 0..4usize {
                    sums[r] += four.extract(c) * values[part * 4 + c];
                }
            }
        }
    }
}

/// Adds up the sums of 16 units and writes them.
#[cube]
fn store(
    out: &mut [f32],
    sums: &Array<f32>,
    row: usize,
    column: usize,
    sizes: &Sizes,
    #[comptime] rows: usize,
) {
    let mut partial = Shared::<[f32]>::new_slice(comptime!(rows * SIDE * SIDE));
    let unit = UNIT_POS as usize;
    #[unroll]
    for r in 0..rows {
        partial[r * SIDE * SIDE + unit] = sums[r];
    }
    sync_cube();
    let own = unit % SIDE;
    if own < rows && row + own < sizes.m as usize && column < sizes.n as usize {
        let first = own * SIDE * SIDE + unit - own;
        let mut total = 0.0f32;
        #[unroll]
        for lane in 0..SIDE {
            total += partial[first + lane];
        }
        out[(row + own) * sizes.n as usize + column] = total;
    }
}
