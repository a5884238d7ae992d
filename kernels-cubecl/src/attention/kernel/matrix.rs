//! The form for matrix units: a cube of four planes, each with 16 queries, against 32 keys at a time, in f16.
//!
//! Queries, and the result in f32, stay in the planes' matrix registers. How those are laid out is the device's
//! secret, so scores and weights pass through shared memory. The result would have to as well each time a maximum
//! rises: instead a row keeps the maximum it has until another is a slack above it, which after the first blocks
//! hardly happens. Weights then exceed one, up to e^8, which f16 holds as precisely as any.

#![allow(clippy::too_many_arguments, reason = "a kernel has no state but its arguments")]
#![allow(
    clippy::manual_div_ceil,
    clippy::manual_range_contains,
    reason = "CubeCL expands operators, not std methods"
)]

mod products;
mod result;
mod softmax;

use cubecl::prelude::*;

use super::{Form, Head, Place, Sizes, Strides, TILE, Table, reaches, rotated};
use products::{add_values, empty_result, load_queries, score};
use result::{rescale, store};
use softmax::{Own, State, own_row, row_total, soften};

/// Planes of a cube.
pub const PLANES: usize = 4;

/// Queries of a plane.
const ROWS: usize = TILE / PLANES;

/// Keys of a block.
const KEYS: usize = TILE / 2;

/// Elements beyond a line of shared memory, so that columns fall on different banks; lines stay multiples of 16
/// bytes, as matrix loads require.
const PAD: usize = 8;

/// Floats from one row of scores to the next.
const SCORE_PITCH: usize = KEYS + 4;

/// Halves from one row of weights to the next.
const WEIGHT_PITCH: usize = KEYS + PAD;

/// Edge of the blocks in which the result passes through shared memory.
const BLOCK: usize = 16;

/// Bytes of shared memory of a cube for heads of width `d`: queries or a block of keys and values, scores, weights,
/// factors and flags.
pub const fn shared_bytes(d: usize) -> usize {
    2 * TILE * (d + PAD) + 4 * TILE * SCORE_PITCH + 2 * TILE * WEIGHT_PITCH + 4 * TILE + 8
}

/// What a kernel for matrix units is compiled for besides its [`Form`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Units {
    /// Edge of the matrices: 8 or 16, a divisor of the head's width.
    pub edge: usize,
    /// Units of a plane: a multiple of 16.
    pub plane: usize,
}

/// As [`super::units::attention_kernel`], with the units of a plane along x and the planes along y; the head's width
/// is a multiple of 16.
#[cube(launch_unchecked, create_dummy_kernel)]
pub fn matrix_attention_kernel<F: Float, N: Size>(
    q: &[Vector<F, N>],
    k: &[Vector<F, N>],
    v: &[Vector<F, N>],
    cos: &[f32],
    sin: &[f32],
    out: &mut [Vector<F, N>],
    q_strides: Strides,
    k_strides: Strides,
    v_strides: Strides,
    sizes: Sizes,
    scale: f32,
    #[comptime] form: Form,
    #[comptime] units: Units,
    #[define(F)] _dtype: ElemType,
) {
    let block = CUBE_POS + sizes.first as usize;
    if block >= sizes.end as usize {
        terminate!();
    }
    let place = Place::new(block, &sizes);
    let queries = Head::<F, N>::new(q, &q_strides, &place, sizes.lq);
    let keys = Head::<F, N>::new(k, &k_strides, &place, sizes.lk);
    let values = Head::<F, N>::new(v, &v_strides, &place, sizes.lk);
    let table = Table::new(cos, sin);
    let mut shared = Staged::<F>::new(form);
    load_rows::<F, N>(&queries, &table, place.row, scale, 0usize, TILE, &mut shared.operands, form, units);
    shared.rises[0] = 0;
    shared.rises[1] = 0;
    sync_cube();
    let queries = load_queries::<F>(&shared.operands, form.d, units);
    let mut result = empty_result(form.d, units);
    let mut state = State::new();

    for key_block in 0..(sizes.lk as usize + KEYS - 1) / KEYS {
        let own = Own { row: place.row, key: key_block * KEYS };
        if reaches(own.row, own.key, KEYS, &sizes, form) {
            sync_cube();
            load_block::<F, N>(&keys, &values, &table, own.key, &mut shared.operands, form, units);
            // Last read before the barrier above.
            shared.rises[(key_block + 1) % 2] = 0;
            sync_cube();
            score::<F>(&queries, &shared.operands, &mut shared.scores, form.d, units);
            sync_cube();
            soften::<F>(&own, key_block % 2, &mut shared, &mut state, &sizes, form, units);
            sync_cube();
            if shared.rises[key_block % 2] == 1 {
                rescale::<F>(&mut result, &mut shared, form.d, units);
            }
            add_values::<F>(&shared.weights, &shared.operands, &mut result, form.d, units);
        }
    }
    sync_cube();
    let total = row_total(state.sum, &mut shared.scores, units);
    sync_cube();
    shared.factors[own_row(units)] = 1.0f32 / total;
    store::<F, N>(out, &mut result, &mut shared, &place, &sizes, form, units);
}

/// What the units of a cube share.
#[derive(CubeType)]
struct Staged<F: Float> {
    /// Rows of queries, or of a block's keys and then of its values.
    operands: Shared<[F]>,
    /// `[query][key]`, or a block of the result.
    scores: Shared<[f32]>,
    /// `[query][key]`
    weights: Shared<[F]>,
    /// What each query's result is to be multiplied by.
    factors: Shared<[f32]>,
    /// Whether any maximum rose, for blocks of even and of odd number.
    rises: Shared<[u32]>,
}

#[cube]
impl<F: Float> Staged<F> {
    fn new(#[comptime] form: Form) -> Staged<F> {
        Staged::<F> {
            operands: Shared::<[F]>::new_aligned_slice(comptime!(TILE * (form.d + PAD)), 16usize),
            scores: Shared::<[f32]>::new_aligned_slice(comptime!(TILE * SCORE_PITCH), 16usize),
            weights: Shared::<[F]>::new_aligned_slice(comptime!(TILE * WEIGHT_PITCH), 16usize),
            factors: Shared::<[f32]>::new_slice(TILE),
            rises: Shared::<[u32]>::new_slice(2usize),
        }
    }
}

/// Brings a block of keys, and behind it its values, to shared memory.
#[cube]
fn load_block<F: Float, N: Size>(
    keys: &Head<'_, F, N>,
    values: &Head<'_, F, N>,
    table: &Table<'_>,
    key: usize,
    operands: &mut Shared<[F]>,
    #[comptime] form: Form,
    #[comptime] units: Units,
) {
    load_rows::<F, N>(keys, table, key, 1.0f32, 0usize, KEYS, operands, form, units);
    let as_they_are = comptime!(Form { rotate: false, ..form });
    load_rows::<F, N>(values, table, key, 1.0f32, KEYS, KEYS, operands, as_they_are, units);
}

/// Brings `count` rows from `first` on into lines `line..` of shared memory: rotated if the form rotates, times
/// `scale`, zero beyond the operand's rows.
#[cube]
fn load_rows<F: Float, N: Size>(
    source: &Head<'_, F, N>,
    table: &Table<'_>,
    first: usize,
    scale: f32,
    #[comptime] line: usize,
    #[comptime] count: usize,
    operands: &mut Shared<[F]>,
    #[comptime] form: Form,
    #[comptime] units: Units,
) {
    let n = N::value();
    let per_row = comptime!(form.d / n);
    let pitch = comptime!(form.d + PAD);
    for item in range_stepped(UNIT_POS as usize, comptime!(count * per_row), comptime!(PLANES * units.plane))
    {
        let token = first + item / per_row;
        let column = item % per_row;
        let mut values = Vector::<f32, N>::new(0.0f32);
        if token < source.tokens {
            let value = source.vector(token, column);
            values = rotated::<N>(value, table, token, column * n, form) * Vector::new(scale);
        }
        #[unroll]
        for c in 0..n {
            operands[(line + item / per_row) * pitch + column * n + c] = F::cast_from(values.extract(c));
        }
    }
}
