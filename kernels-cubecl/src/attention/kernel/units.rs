//! The form for any adapter: a cube of 16 x 16 units works on 64 queries against 64 keys at a time.
//!
//! Each unit holds a 4 x 4 tile of the scores and a 4 x 4 or 4 x 8 tile of the result in registers. Operands pass
//! through shared memory in pieces of 16 channels (queries, keys) or 16 keys (values). Only barriers of the whole
//! cube are used, so that the plane size does not matter.

#![allow(clippy::too_many_arguments, reason = "a kernel has no state but its arguments")]
#![allow(
    clippy::manual_div_ceil,
    clippy::manual_range_contains,
    reason = "CubeCL expands operators, not std methods"
)]

mod load;
mod softmax;

use cubecl::prelude::*;

use super::{Form, Head, Place, Sizes, Strides, TILE, Table, reaches};
use load::{load_rows, load_values};
use softmax::{State, hide, over_row, soften};

/// Units along either side of a cube.
pub const SIDE: usize = 16;

/// Channels of queries and keys, or keys of values, in shared memory at a time.
const PIECE: usize = 16;

/// Vectors from one line of shared memory to the next; odd, so that columns fall on different banks.
const PITCH: usize = SIDE + 1;

/// Vectors of one staged operand.
const STAGE: usize = PIECE * PITCH;

/// Bytes of shared memory of a cube: two staged operands, the weights and one maximum per unit and row.
pub const SHARED_BYTES: usize = (2 * STAGE + TILE * PITCH + SIDE * SIDE) * 16;

/// Four values of shared memory or registers.
type Four = Vector<f32, Const<4>>;

/// `q`, `k`, `v`: `[b, h, l, d]` by their strides, `cos`, `sin`: `[l, d / 2]` (read if the form rotates),
/// `out`: `[b, lq, h, d]`.
#[cube(launch_unchecked, create_dummy_kernel)]
pub fn attention_kernel<F: Float, N: Size>(
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
    #[define(F)] _dtype: ElemType,
) {
    let block = CUBE_POS + sizes.first as usize;
    if block >= sizes.end as usize {
        terminate!();
    }
    let place = Place::new(block, &sizes, TILE);
    let own = Own::new(&place);
    let queries = Head::<F, N>::new(q, &q_strides, &place, sizes.lq);
    let keys = Head::<F, N>::new(k, &k_strides, &place, sizes.lk);
    let values = Head::<F, N>::new(v, &v_strides, &place, sizes.lk);
    let table = Table::new(cos, sin);
    let mut shared = Staged::new();
    let mut state = State::new(form);

    for key_block in 0..(sizes.lk as usize + TILE - 1) / TILE {
        let key = key_block * TILE;
        if reaches(place.row, TILE, key, TILE, &sizes, form) {
            let mut scores =
                score::<F, N>(&queries, &keys, &table, place.row, key, scale, &own, &mut shared, form);
            hide(&mut scores, own.query, key + 4 * own.x, &sizes, form);
            soften(&scores, &own, &mut shared, &mut state, form);
            add_values::<F, N>(&values, key, &own, &mut shared, &mut state.result, form);
        }
    }
    sync_cube();
    let total = over_row(state.sum, &own, &mut shared.rows, false);
    store_rows::<F, N>(out, &state.result, total, &place, &own, &sizes, form);
}

/// The unit's share of the tile: four queries and, of each block, four keys.
#[derive(CubeType, Clone, Copy)]
struct Own {
    x: usize,
    y: usize,
    /// The first of its queries.
    query: usize,
}

#[cube]
impl Own {
    fn new(place: &Place) -> Own {
        let unit = UNIT_POS as usize;
        Own { x: unit % SIDE, y: unit / SIDE, query: place.row + 4 * (unit / SIDE) }
    }
}

/// What the units of a cube share.
#[derive(CubeType)]
struct Staged {
    /// Queries and keys, `[operand][channel][row]`, or values, `[key][column]`.
    operands: Shared<[Four]>,
    /// `[key][query]`
    weights: Shared<[Four]>,
    /// What is known of each row: `[x][y]`.
    rows: Shared<[Four]>,
}

#[cube]
impl Staged {
    fn new() -> Staged {
        Staged {
            operands: Shared::<[Four]>::new_slice(comptime!(2 * STAGE)),
            weights: Shared::<[Four]>::new_slice(comptime!(TILE * PITCH)),
            rows: Shared::<[Four]>::new_slice(comptime!(SIDE * SIDE)),
        }
    }
}

/// Vectors of four channels of a result's row that a unit holds.
const fn columns(d: usize) -> usize {
    d.div_ceil(4).div_ceil(SIDE)
}

/// Scores of the unit's queries and keys: one vector of 4 queries for each of 4 keys.
#[cube]
fn score<F: Float, N: Size>(
    queries: &Head<'_, F, N>,
    keys: &Head<'_, F, N>,
    table: &Table<'_>,
    row: usize,
    key: usize,
    scale: f32,
    own: &Own,
    shared: &mut Staged,
    #[comptime] form: Form,
) -> Array<Four> {
    let mut scores = Array::<Four>::new(4usize);
    for piece in 0..comptime!(form.d.div_ceil(PIECE)) {
        let channel = piece * PIECE;
        sync_cube();
        load_rows::<F, N>(queries, table, row, channel, scale, 0usize, &mut shared.operands, form);
        load_rows::<F, N>(keys, table, key, channel, 1.0f32, 1usize, &mut shared.operands, form);
        sync_cube();
        multiply(&shared.operands, own, &mut scores);
    }
    scores
}

/// Adds the products of the 16 staged channels to the scores.
#[cube]
fn multiply(stage: &Shared<[Four]>, own: &Own, scores: &mut Array<Four>) {
    for c in 0..PIECE {
        let rows = stage[c * PITCH + own.y];
        let keys = stage[STAGE + c * PITCH + own.x];
        #[unroll]
        for j in 0..4usize {
            scores[j] += rows * Four::new(keys.extract(j));
        }
    }
}

/// Adds the block's values, keys `key..`, by weight.
#[cube]
fn add_values<F: Float, N: Size>(
    values: &Head<'_, F, N>,
    key: usize,
    own: &Own,
    shared: &mut Staged,
    result: &mut Array<Four>,
    #[comptime] form: Form,
) {
    for piece in 0..comptime!(TILE / PIECE) {
        let first = piece * PIECE;
        sync_cube();
        load_values::<F, N>(values, key + first, &mut shared.operands, form);
        sync_cube();
        for line in 0..PIECE {
            add_value(&shared.operands, &shared.weights, first, line, own, result, form);
        }
    }
}

/// Adds one staged value, key `first + line` of the block, by weight.
#[cube]
fn add_value(
    stage: &Shared<[Four]>,
    weights: &Shared<[Four]>,
    first: usize,
    line: usize,
    own: &Own,
    result: &mut Array<Four>,
    #[comptime] form: Form,
) {
    let columns = comptime!(columns(form.d));
    let row_weights = weights[(first + line) * PITCH + own.y];
    #[unroll]
    for c in 0..columns {
        let values = stage[line * comptime!(form.d.div_ceil(4)) + own.x + c * SIDE];
        #[unroll]
        for r in 0..4usize {
            result[r * columns + c] += values * Four::new(row_weights.extract(r));
        }
    }
}

/// Divides the unit's rows by their sums and writes them.
#[cube]
fn store_rows<F: Float, N: Size>(
    out: &mut [Vector<F, N>],
    result: &Array<Four>,
    total: Four,
    place: &Place,
    own: &Own,
    sizes: &Sizes,
    #[comptime] form: Form,
) {
    let n = N::value();
    let vectors = comptime!(form.d / n);
    let columns = comptime!(columns(form.d));
    #[unroll]
    for r in 0..4usize {
        let query = own.query + r;
        if query < sizes.lq as usize {
            let row = place.result_row(query, sizes) * vectors;
            let inverse = Four::new(1.0f32 / total.extract(r));
            #[unroll]
            for c in 0..columns {
                let first = (own.x + c * SIDE) * comptime!(4 / n);
                store::<F, N>(out, row, first, vectors, result[r * columns + c] * inverse);
            }
        }
    }
}

/// Writes four channels from vector `first` of a row of `vectors`, as far as the row goes.
#[cube]
fn store<F: Float, N: Size>(
    out: &mut [Vector<F, N>],
    row: usize,
    first: usize,
    #[comptime] vectors: usize,
    values: Four,
) {
    let n = N::value();
    #[unroll]
    for part in 0..comptime!(4 / n) {
        if first + part < vectors {
            let mut vector = Vector::<F, N>::empty();
            #[unroll]
            for c in 0..n {
                vector.insert(c, F::cast_from(values.extract(comptime!(part * n + c))));
            }
            out[row + first + part] = vector;
        }
    }
}
