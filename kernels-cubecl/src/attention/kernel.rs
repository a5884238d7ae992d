//! The form for any adapter: a cube of 16 x 16 units works on 64 queries against 64 keys at a time.
//!
//! Each unit holds a 4 x 4 tile of the scores and a 4 x 4 or 4 x 8 tile of the result in registers. Operands pass
//! through shared memory in pieces of 16 channels (queries, keys) or 16 keys (values). Only barriers of the whole
//! cube are used, so that the plane size does not matter.

use cubecl::prelude::*;

use super::window::Window;

/// Units along either side of a cube.
pub const SIDE: usize = 16;

/// Queries of a cube, and keys of a block.
pub const TILE: usize = 4 * SIDE;

/// Channels of queries and keys, or keys of values, in shared memory at a time.
const PIECE: usize = 16;

/// Vectors from one line of shared memory to the next; odd, so that columns fall on different banks.
const PITCH: usize = SIDE + 1;

/// Vectors of one staged operand.
const STAGE: usize = PIECE * PITCH;

/// Bytes of shared memory of a cube: two staged operands, the weights and one maximum per unit and row.
pub const SHARED_BYTES: usize = (2 * STAGE + TILE * PITCH + SIDE * SIDE) * 16;

/// Stands for the score of a key that is not seen; finite, as fast math may take infinity for anything.
const HIDDEN: f32 = -1.0e30;

/// Below this natural exponent a weight is nothing beside one.
const MIN_EXPONENT: f32 = -80.0;

/// Four values of shared memory or registers.
type Four = Vector<f32, Const<4>>;

/// Vectors from one batch, head and token of an operand to the next.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub struct Strides {
    pub batch: u32,
    pub head: u32,
    pub token: u32,
}

#[cube]
impl Strides {
    /// The first vector of a head.
    pub fn start(&self, batch: usize, head: usize) -> usize {
        batch * self.batch as usize + head * self.head as usize
    }
}

/// Sizes of a launch.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub struct Sizes {
    pub heads: u32,
    pub lq: u32,
    pub lk: u32,
    /// Blocks of queries of one head.
    pub blocks: u32,
    /// This launch works on blocks `first..end` of all heads of all batches.
    pub first: u32,
    pub end: u32,
}

/// What a kernel is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Form {
    /// Width of a head.
    pub d: usize,
    pub rotate: bool,
    pub window: Option<Window>,
}

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
        if reaches(row, key, lq, lk, form) {
            let mut scores = Array::<Four>::new(4usize);
            for piece in 0..comptime!(d.div_ceil(PIECE)) {
                sync_cube();
                let channel = piece * PIECE;
                load_rows::<F, N>(
                    q,
                    cos,
                    sin,
                    q_start,
                    q_strides.token,
                    row,
                    lq,
                    channel,
                    scale,
                    0usize,
                    &mut stage,
                    form,
                );
                load_rows::<F, N>(
                    k,
                    cos,
                    sin,
                    k_start,
                    k_strides.token,
                    key,
                    lk,
                    channel,
                    1.0f32,
                    1usize,
                    &mut stage,
                    form,
                );
                sync_cube();
                for c in 0..PIECE {
                    let rows = stage[c * PITCH + ty];
                    let keys = stage[STAGE + c * PITCH + tx];
                    #[unroll]
                    for j in 0..4usize {
                        scores[j] += rows * Four::new(keys.extract(j));
                    }
                }
            }

            hide(&mut scores, row + 4 * ty, key + 4 * tx, lq, lk, form);
            let mut block_max = scores[0];
            #[unroll]
            for j in 1..4usize {
                block_max = max(block_max, scores[j]);
            }
            shared_max[tx * SIDE + ty] = block_max;
            sync_cube();
            let mut new_max = max_seen;
            #[unroll]
            for t in 0..SIDE {
                new_max = max(new_max, shared_max[t * SIDE + ty]);
            }
            let factor = weight(max_seen - new_max);
            max_seen = new_max;
            sum *= factor;
            #[unroll]
            for j in 0..4usize {
                let weights_of_key = weight(scores[j] - new_max);
                sum += weights_of_key;
                weights[(4 * tx + j) * PITCH + ty] = weights_of_key;
            }
            #[unroll]
            for r in 0..4usize {
                let row_factor = Four::new(factor.extract(r));
                #[unroll]
                for c in 0..columns {
                    result[r * columns + c] *= row_factor;
                }
            }

            for piece in 0..comptime!(TILE / PIECE) {
                sync_cube();
                load_values::<F, N>(v, v_start, v_strides.token, key + piece * PIECE, lk, &mut stage, d);
                sync_cube();
                for line in 0..PIECE {
                    let row_weights = weights[(piece * PIECE + line) * PITCH + ty];
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
        }
    }

    sync_cube();
    shared_max[tx * SIDE + ty] = sum;
    sync_cube();
    let mut total = Four::new(0.0f32);
    #[unroll]
    for t in 0..SIDE {
        total += shared_max[t * SIDE + ty];
    }
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
                store::<F, N>(
                    out,
                    at,
                    (tx + c * SIDE) * per_four,
                    vectors,
                    result[r * columns + c] * inverse,
                );
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
/// zero beyond `rows` and `d`. Operand 0 is loaded by the first units, operand 1 by those after them.
#[cube]
fn load_rows<F: Float, N: Size>(
    source: &[Vector<F, N>],
    cos: &[f32],
    sin: &[f32],
    start: usize,
    token_stride: u32,
    first: usize,
    rows: usize,
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
        let at = channel + column * n;
        let mut values = Array::<Vector<f32, N>>::new(4usize);
        if at < comptime!(form.d) {
            #[unroll]
            for r in 0..4usize {
                let token = first + 4 * group + r;
                if token < rows {
                    let value =
                        Vector::<f32, N>::cast_from(source[start + token * token_stride as usize + at / n]);
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

/// `x`, channels `at..` of a row, rotated by the position `token` if the form rotates.
#[cube]
fn rotated<N: Size>(
    x: Vector<f32, N>,
    cos: &[f32],
    sin: &[f32],
    token: usize,
    at: usize,
    #[comptime] form: Form,
) -> Vector<f32, N> {
    let mut y = x;
    let n = N::value();
    if comptime!(form.rotate) {
        #[unroll]
        for pair in 0..comptime!(n / 2) {
            let angle = token * comptime!(form.d / 2) + at / 2 + pair;
            let re = x.extract(comptime!(2 * pair));
            let im = x.extract(comptime!(2 * pair + 1));
            y.insert(comptime!(2 * pair), re * cos[angle] - im * sin[angle]);
            y.insert(comptime!(2 * pair + 1), re * sin[angle] + im * cos[angle]);
        }
    }
    y
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
fn hide(scores: &mut Array<Four>, row: usize, key: usize, lq: usize, lk: usize, #[comptime] form: Form) {
    #[unroll]
    for j in 0..4usize {
        if key + j >= lk {
            scores[j] = Four::new(HIDDEN);
        }
        if comptime!(form.window.is_some()) {
            let mut kept = scores[j];
            #[unroll]
            for r in 0..4usize {
                if !sees(row + r, key + j, lq, lk, form) {
                    kept.insert(r, HIDDEN);
                }
            }
            scores[j] = kept;
        }
    }
}

/// The key position of a query: see [`Window`].
#[cube]
fn position(row: usize, lq: usize, lk: usize) -> usize {
    let shifted = row + lk;
    min(max(shifted, lq) - lq, lk - 1)
}

/// [`Window::sees`] on the device.
#[cube]
fn sees(row: usize, key: usize, lq: usize, lk: usize, #[comptime] form: Form) -> bool {
    let size = comptime!(extent(form.window).0);
    let sink = comptime!(extent(form.window).1);
    let at = position(row, lq, lk);
    key < sink || (key < at + size && at < key + size)
}

/// [`Window::reaches`] on the device, for whole tiles; always, without a window.
#[cube]
fn reaches(row: usize, key: usize, lq: usize, lk: usize, #[comptime] form: Form) -> bool {
    let size = comptime!(extent(form.window).0);
    let sink = comptime!(extent(form.window).1);
    let first = position(row, lq, lk);
    let last = position(row + TILE - 1, lq, lk);
    key < sink || (key < last + size && first < key + TILE - 1 + size)
}

/// Reach and sink of a window, small enough that sums of them and a position do not overflow.
fn extent(window: Option<Window>) -> (usize, usize) {
    let most = 1 << 30;
    window.map_or((most, 0), |window| (window.size.clamp(1, most), window.sink.min(most)))
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
