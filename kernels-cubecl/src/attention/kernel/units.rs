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

use cubecl::prelude::*;

use super::{Form, HIDDEN, MIN_EXPONENT, Sizes, Strides, TILE, reaches, rotated, sees};

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
    let lq = sizes.lq as usize;
    let lk = sizes.lk as usize;
    let heads = sizes.heads as usize;
    let row = block % sizes.blocks as usize * TILE;
    let head = block / sizes.blocks as usize % heads;
    let batch = block / (sizes.blocks as usize * heads);
    let tx = UNIT_POS as usize % SIDE;
    let ty = UNIT_POS as usize / SIDE;

    let d = comptime!(form.d);
    let fours = comptime!(d.div_ceil(4));
    let columns = comptime!(fours.div_ceil(SIDE));
    let mut stage = Shared::<[Four]>::new_slice(comptime!(2 * STAGE));
    let mut weights = Shared::<[Four]>::new_slice(comptime!(TILE * PITCH));
    let mut shared_max = Shared::<[Four]>::new_slice(comptime!(SIDE * SIDE));

    let q_start = q_strides.start(batch, head);
    let k_start = k_strides.start(batch, head);
    let v_start = v_strides.start(batch, head);
    let mut max_seen = Four::new(HIDDEN);
    // Of this unit's keys alone until the end.
    let mut sum = Four::new(0.0f32);
    let mut result = Array::<Four>::new(comptime!(4 * columns));

    for key_block in 0..(lk + TILE - 1) / TILE {
        let key = key_block * TILE;
        if reaches(row, key, TILE, &sizes, form) {
            let mut scores = Array::<Four>::new(4usize);
            for piece in 0..comptime!(d.div_ceil(PIECE)) {
                let channel = piece * PIECE;
                sync_cube();
                let at =
                    Piece { start: q_start, token_stride: q_strides.token, first: row, rows: lq, channel };
                load_rows::<F, N>(q, cos, sin, at, scale, 0usize, &mut stage, form);
                let at =
                    Piece { start: k_start, token_stride: k_strides.token, first: key, rows: lk, channel };
                load_rows::<F, N>(k, cos, sin, at, 1.0f32, 1usize, &mut stage, form);
                sync_cube();
                multiply(&stage, tx, ty, &mut scores);
            }
            hide(&mut scores, row + 4 * ty, key + 4 * tx, &sizes, form);
            let new_max = max(max_seen, row_max(&scores, tx, ty, &mut shared_max));
            let factor = weight(max_seen - new_max);
            max_seen = new_max;
            sum = sum * factor + weigh(&scores, new_max, tx, ty, &mut weights);
            rescale(&mut result, factor, columns);
            for piece in 0..comptime!(TILE / PIECE) {
                let first = key + piece * PIECE;
                sync_cube();
                load_values::<F, N>(v, v_start, v_strides.token, first, lk, &mut stage, d);
                sync_cube();
                add_values(&stage, &weights, piece * PIECE, tx, ty, &mut result, d);
            }
        }
    }

    sync_cube();
    let total = row_sum(sum, tx, ty, &mut shared_max);
    let n = N::value();
    let vectors = comptime!(d / n);
    let per_four = comptime!(4 / n);
    #[unroll]
    for r in 0..4usize {
        let query = row + 4 * ty + r;
        if query < lq {
            let at = ((batch * lq + query) * heads + head) * vectors;
            let inverse = Four::new(1.0f32 / total.extract(r));
            #[unroll]
            for c in 0..columns {
                let first = (tx + c * SIDE) * per_four;
                store::<F, N>(out, at, first, vectors, result[r * columns + c] * inverse);
            }
        }
    }
}

/// Where the rows of an operand that go into the stage lie.
#[derive(CubeType, Clone, Copy)]
struct Piece {
    /// First vector of the head.
    start: usize,
    token_stride: u32,
    /// First row.
    first: usize,
    /// Rows of the operand.
    rows: usize,
    /// First channel.
    channel: usize,
}

/// Adds the products of the 16 staged channels to the scores: one vector of 4 queries for each of 4 keys.
#[cube]
fn multiply(stage: &Shared<[Four]>, tx: usize, ty: usize, scores: &mut Array<Four>) {
    for c in 0..PIECE {
        let rows = stage[c * PITCH + ty];
        let keys = stage[STAGE + c * PITCH + tx];
        #[unroll]
        for j in 0..4usize {
            scores[j] += rows * Four::new(keys.extract(j));
        }
    }
}

/// The largest score of each query in this block of keys.
#[cube]
fn row_max(scores: &Array<Four>, tx: usize, ty: usize, shared: &mut Shared<[Four]>) -> Four {
    let mut own = scores[0];
    #[unroll]
    for j in 1..4usize {
        own = max(own, scores[j]);
    }
    shared[tx * SIDE + ty] = own;
    sync_cube();
    let mut all = shared[ty];
    #[unroll]
    for t in 1..SIDE {
        all = max(all, shared[t * SIDE + ty]);
    }
    all
}

/// The sum of `own` over the units that share queries.
#[cube]
fn row_sum(own: Four, tx: usize, ty: usize, shared: &mut Shared<[Four]>) -> Four {
    shared[tx * SIDE + ty] = own;
    sync_cube();
    let mut all = Four::new(0.0f32);
    #[unroll]
    for t in 0..SIDE {
        all += shared[t * SIDE + ty];
    }
    all
}

/// Writes the weights of the scores to shared memory, as `[key][query]`, and returns their sum over own keys.
#[cube]
fn weigh(scores: &Array<Four>, max: Four, tx: usize, ty: usize, weights: &mut Shared<[Four]>) -> Four {
    let mut sum = Four::new(0.0f32);
    #[unroll]
    for j in 0..4usize {
        let weights_of_key = weight(scores[j] - max);
        sum += weights_of_key;
        weights[(4 * tx + j) * PITCH + ty] = weights_of_key;
    }
    sum
}

/// Multiplies each query's result by its factor.
#[cube]
fn rescale(result: &mut Array<Four>, factor: Four, #[comptime] columns: usize) {
    #[unroll]
    for r in 0..4usize {
        let row_factor = Four::new(factor.extract(r));
        #[unroll]
        for c in 0..columns {
            result[r * columns + c] *= row_factor;
        }
    }
}

/// Adds the 16 staged values, keys `first..` of the block, by weight.
#[cube]
fn add_values(
    stage: &Shared<[Four]>,
    weights: &Shared<[Four]>,
    first: usize,
    tx: usize,
    ty: usize,
    result: &mut Array<Four>,
    #[comptime] d: usize,
) {
    let fours = comptime!(d.div_ceil(4));
    let columns = comptime!(fours.div_ceil(SIDE));
    for line in 0..PIECE {
        let row_weights = weights[(first + line) * PITCH + ty];
        #[unroll]
        for c in 0..columns {
            let values = stage[line * fours + tx + c * SIDE];
            #[unroll]
            for r in 0..4usize {
                result[r * columns + c] += values * Four::new(row_weights.extract(r));
            }
        }
    }
}

/// `exp(x)` for `x` of at most 0.
#[cube]
fn weight(x: Four) -> Four {
    max(x, Four::new(MIN_EXPONENT)).exp()
}

/// Brings 16 channels of 64 rows into operand `operand` of the stage, as `[channel][row]`: rotated, times `scale`,
/// zero beyond the operand's rows and channels. Operand 0 is loaded by the first units, operand 1 by those after them.
#[cube]
fn load_rows<F: Float, N: Size>(
    source: &[Vector<F, N>],
    cos: &[f32],
    sin: &[f32],
    piece: Piece,
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
        let at = piece.channel + column * n;
        let mut values = Array::<Vector<f32, N>>::new(4usize);
        if at < comptime!(form.d) {
            #[unroll]
            for r in 0..4usize {
                let token = piece.first + 4 * group + r;
                if token < piece.rows {
                    let at_token = piece.start + token * piece.token_stride as usize;
                    let value = Vector::<f32, N>::cast_from(source[at_token + at / n]);
                    values[r] = rotated::<N>(value, cos, sin, token, at, form) * Vector::new(scale);
                }
            }
        }
        #[unroll]
        for c in 0..n {
            let mut line = Four::new(0.0f32);
            #[unroll]
            for r in 0..4usize {
                line.insert(r, values[r].extract(c));
            }
            stage[comptime!(operand * STAGE) + (column * n + c) * PITCH + group] = line;
        }
    }
}

/// Brings 16 rows of values into the stage, as `[key][column]`, zero beyond `rows`.
#[cube]
fn load_values<F: Float, N: Size>(
    source: &[Vector<F, N>],
    start: usize,
    token_stride: u32,
    first: usize,
    rows: usize,
    stage: &mut Shared<[Four]>,
    #[comptime] d: usize,
) {
    let n = N::value();
    let fours = comptime!(d.div_ceil(4));
    let loads = comptime!(PIECE * fours);
    #[unroll]
    for round in 0..comptime!(loads.div_ceil(SIDE * SIDE)) {
        let item = UNIT_POS as usize + round * SIDE * SIDE;
        if item < loads {
            let token = first + item / fours;
            let at = item % fours * 4;
            let mut line = Four::new(0.0f32);
            if token < rows {
                #[unroll]
                for part in 0..comptime!(4 / n) {
                    if at + part * n < d {
                        let value = source[start + token * token_stride as usize + at / n + part];
                        #[unroll]
                        for c in 0..n {
                            line.insert(comptime!(part * n + c), f32::cast_from(value.extract(c)));
                        }
                    }
                }
            }
            stage[item] = line;
        }
    }
}

/// Hides keys beyond the last, and those outside each query's window.
#[cube]
fn hide(scores: &mut Array<Four>, row: usize, key: usize, sizes: &Sizes, #[comptime] form: Form) {
    #[unroll]
    for j in 0..4usize {
        if key + j >= sizes.lk as usize {
            scores[j] = Four::new(HIDDEN);
        }
        if comptime!(form.window) {
            let mut kept = scores[j];
            #[unroll]
            for r in 0..4usize {
                if !sees(row + r, key + j, sizes) {
                    kept.insert(r, HIDDEN);
                }
            }
            scores[j] = kept;
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
