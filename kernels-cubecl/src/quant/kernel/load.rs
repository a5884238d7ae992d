//! Operands on their way to shared memory.

#![allow(clippy::too_many_arguments, reason = "a kernel has no state but its arguments")]

use cubecl::prelude::*;

use super::{
    FOURS, Form, Four, PIECE, PITCH, SIDE, STAGE, Sizes,
    codes::{Weight, value},
};

/// Units that load activations; those after them load weights.
const X_UNITS: usize = SIDE * FOURS * PIECE / 4;

/// Brings some columns of a tile's rows of `x` into the stage, zero beyond its rows and columns. A unit brings four columns of
/// four rows.
#[cube]
pub(super) fn load_x<X: Float, N: Size>(
    x: &[Vector<X, N>],
    first: usize,
    column: usize,
    sizes: &Sizes,
    stage: &mut Shared<[Four]>,
) {
    let unit = UNIT_POS as usize;
    if unit < X_UNITS {
        let part = unit % comptime!(PIECE / 4);
        let group = unit / comptime!(PIECE / 4);
        let at = column + 4 * part;
        let mut values = Array::<Four>::new(4usize);
        if at < sizes.k as usize {
            #[unroll]
            for r in 0..4usize {
                let row = first + 4 * group + r;
                if row < sizes.m as usize {
                    values[r] = Four::cast_from(x[(row * sizes.k as usize + at) / 4]);
                }
            }
        }
        #[unroll]
        for c in 0..4usize {
            let mut line = Four::new(0.0f32);
            #[unroll]
            for r in 0..4usize {
                line.insert(r, values[r].extract(c));
            }
            stage[(4 * part + c) * PITCH + group] = line;
        }
    }
}

/// Brings some columns of a tile's rows of the weight into the stage, behind the activations. A unit brings one word of each of
/// four rows.
#[cube]
pub(super) fn load_weights<S: Float>(
    weight: &Weight<'_, S>,
    book: &Shared<[f32]>,
    first: usize,
    column: usize,
    sizes: &Sizes,
    stage: &mut Shared<[Four]>,
    #[comptime] form: Form,
) {
    let per_word = comptime!(form.per_word());
    let parts = comptime!(PIECE / per_word);
    let unit = UNIT_POS as usize;
    if unit >= X_UNITS && unit < comptime!(X_UNITS + SIDE * FOURS * parts) {
        let item = unit - X_UNITS;
        let part = item % parts;
        let group = item / parts;
        let at = column + per_word * part;
        let mut words = Array::<u32>::new(4usize);
        let mut scales = Array::<f32>::new(4usize);
        #[unroll]
        for r in 0..4usize {
            words[r] = 0u32;
            scales[r] = 0.0f32;
            let row = first + 4 * group + r;
            if at < sizes.k as usize && row < sizes.n as usize {
                words[r] = weight.word((row * sizes.k as usize + at) / per_word);
                scales[r] = weight.scale(row, at, sizes, form);
            }
        }
        #[unroll]
        for c in 0..per_word {
            let mut line = Four::new(0.0f32);
            #[unroll]
            for r in 0..4usize {
                line.insert(r, value(words[r], book, c, form) * scales[r]);
            }
            stage[STAGE + (per_word * part + c) * PITCH + group] = line;
        }
    }
}
