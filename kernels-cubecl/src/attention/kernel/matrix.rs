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

mod softmax;

use cubecl::{cmma, prelude::*};

use super::{Form, HIDDEN, MIN_EXPONENT, Sizes, Strides, TILE, reaches, rotated};
use softmax::{Own, own_row, raised, row_total, weigh};

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
    let lq = sizes.lq as usize;
    let lk = sizes.lk as usize;
    let heads = sizes.heads as usize;
    let row = block % sizes.blocks as usize * TILE;
    let head = block / sizes.blocks as usize % heads;
    let batch = block / (sizes.blocks as usize * heads);

    let d = comptime!(form.d);
    let pitch = comptime!(d + PAD);
    let mut operands = Shared::<[F]>::new_aligned_slice(comptime!(TILE * pitch), 16usize);
    let mut scores = Shared::<[f32]>::new_aligned_slice(comptime!(TILE * SCORE_PITCH), 16usize);
    let mut weights = Shared::<[F]>::new_aligned_slice(comptime!(TILE * WEIGHT_PITCH), 16usize);
    let mut factors = Shared::<[f32]>::new_slice(TILE);
    let mut rises = Shared::<[u32]>::new_slice(2usize);
    let plane = UNIT_POS_Y as usize;

    let at =
        Rows { start: q_strides.start(batch, head), token_stride: q_strides.token, first: row, rows: lq };
    load_rows::<F, N>(
        q,
        cos,
        sin,
        at,
        scale,
        0usize,
        TILE,
        comptime!(form.rotate),
        &mut operands,
        form,
        units,
    );
    rises[0] = 0;
    rises[1] = 0;
    sync_cube();
    let queries = load_queries::<F>(&operands, plane, d, units);
    let mut result = empty_result(d, units);

    // Of the row this unit works on; the sum is of its own keys alone until the end.
    let mut max_seen = f32::new(HIDDEN);
    let mut sum = 0.0f32;
    for key_block in 0..(lk + KEYS - 1) / KEYS {
        let key = key_block * KEYS;
        if reaches(row, key, KEYS, &sizes, form) {
            sync_cube();
            let start = k_strides.start(batch, head);
            let at = Rows { start, token_stride: k_strides.token, first: key, rows: lk };
            load_rows::<F, N>(
                k,
                cos,
                sin,
                at,
                1.0f32,
                0usize,
                KEYS,
                comptime!(form.rotate),
                &mut operands,
                form,
                units,
            );
            let start = v_strides.start(batch, head);
            let at = Rows { start, token_stride: v_strides.token, first: key, rows: lk };
            load_rows::<F, N>(v, cos, sin, at, 1.0f32, KEYS, KEYS, false, &mut operands, form, units);
            // Last read before the barrier above.
            rises[(key_block + 1) % 2] = 0;
            sync_cube();
            score::<F>(&queries, &operands, plane, &mut scores, d, units);
            sync_cube();
            let own = Own { row, key };
            let new_max = raised(&scores, &own, max_seen, &sizes, form, units);
            let factor = max(max_seen - new_max, MIN_EXPONENT).exp();
            if new_max > max_seen {
                rises[key_block % 2] = 1;
            }
            factors[own_row(units)] = factor;
            max_seen = new_max;
            sum = sum * factor + weigh::<F>(&scores, &own, new_max, &mut weights, &sizes, form, units);
            sync_cube();
            if rises[key_block % 2] == 1 {
                rescale(&mut result, &factors, plane, &mut scores, d, units);
            }
            add_values::<F>(&weights, &operands, plane, &mut result, d, units);
        }
    }

    sync_cube();
    let total = row_total(sum, &mut scores, units);
    sync_cube();
    factors[own_row(units)] = 1.0f32 / total;
    let n = N::value();
    let row_vectors = comptime!(d / n);
    let base = (batch * lq + row) * heads + head;
    #[unroll]
    for column in 0..comptime!(d / BLOCK) {
        sync_cube();
        store_block(&mut result, plane, column, &mut scores, d, units);
        sync_cube();
        let per_row = comptime!(BLOCK / n);
        for item in
            range_stepped(UNIT_POS as usize, comptime!(TILE * per_row), comptime!(PLANES * units.plane))
        {
            let line = item / per_row;
            let at = item % per_row;
            if row + line < lq {
                let mut vector = Vector::<F, N>::empty();
                #[unroll]
                for c in 0..n {
                    vector.insert(c, F::cast_from(scores[line * SCORE_PITCH + at * n + c] * factors[line]));
                }
                out[(base + line * heads) * row_vectors + comptime!(column * per_row) + at] = vector;
            }
        }
    }
}

/// Rows `first..` of an operand of `rows` rows.
#[derive(CubeType, Clone, Copy)]
struct Rows {
    /// First vector of the head.
    start: usize,
    token_stride: u32,
    first: usize,
    rows: usize,
}

/// Brings `count` rows into lines `line..` of shared memory: rotated if asked, times `scale`, zero beyond the
/// operand's rows.
#[cube]
fn load_rows<F: Float, N: Size>(
    source: &[Vector<F, N>],
    cos: &[f32],
    sin: &[f32],
    at: Rows,
    scale: f32,
    #[comptime] line: usize,
    #[comptime] count: usize,
    #[comptime] rotate: bool,
    operands: &mut Shared<[F]>,
    #[comptime] form: Form,
    #[comptime] units: Units,
) {
    let n = N::value();
    let per_row = comptime!(form.d / n);
    let pitch = comptime!(form.d + PAD);
    let form = comptime!(Form { rotate, ..form });
    for item in range_stepped(UNIT_POS as usize, comptime!(count * per_row), comptime!(PLANES * units.plane))
    {
        let token = at.first + item / per_row;
        let column = item % per_row;
        let mut values = Vector::<f32, N>::new(0.0f32);
        if token < at.rows {
            let value = source[at.start + token * at.token_stride as usize + column];
            values = rotated::<N>(Vector::cast_from(value), cos, sin, token, column * n, form)
                * Vector::new(scale);
        }
        #[unroll]
        for c in 0..n {
            operands[(line + item / per_row) * pitch + column * n + c] = F::cast_from(values.extract(c));
        }
    }
}

/// The plane's queries: matrices along the channels, for each line of matrices.
#[cube]
fn load_queries<F: Float>(
    operands: &Shared<[F]>,
    plane: usize,
    #[comptime] d: usize,
    #[comptime] units: Units,
) -> Sequence<cmma::Matrix<F>> {
    let e = comptime!(units.edge);
    let pitch = comptime!(d + PAD);
    let mut queries = Sequence::<cmma::Matrix<F>>::new();
    #[unroll]
    for r in 0..comptime!(ROWS / e) {
        #[unroll]
        for c in 0..comptime!(d / e) {
            let from = (plane * ROWS + r * e) * pitch + c * e;
            queries.push(cmma::Matrix::<F>::from_slice(
                cmma::MatrixIdent::A,
                e,
                e,
                e,
                cmma::MatrixLayout::RowMajor,
                &operands[from..comptime!(TILE * pitch)],
                comptime!(pitch as u32),
            ));
        }
    }
    queries
}

/// The plane's result: zero.
#[cube]
fn empty_result(#[comptime] d: usize, #[comptime] units: Units) -> Sequence<cmma::Matrix<f32>> {
    let e = comptime!(units.edge);
    let mut result = Sequence::<cmma::Matrix<f32>>::new();
    #[unroll]
    for _ in 0..comptime!(ROWS / e * (d / e)) {
        result.push(accumulator(units));
    }
    result
}

#[cube]
fn accumulator(#[comptime] units: Units) -> cmma::Matrix<f32> {
    let e = comptime!(units.edge);
    cmma::Matrix::<f32>::from_value(
        cmma::MatrixIdent::Accumulator,
        e,
        e,
        e,
        cmma::MatrixLayout::Undefined,
        0.0f32,
    )
}

/// The plane's scores against the staged keys.
#[cube]
fn score<F: Float>(
    queries: &Sequence<cmma::Matrix<F>>,
    operands: &Shared<[F]>,
    plane: usize,
    scores: &mut Shared<[f32]>,
    #[comptime] d: usize,
    #[comptime] units: Units,
) {
    let e = comptime!(units.edge);
    let pitch = comptime!(d + PAD);
    let steps = comptime!(d / e);
    #[unroll]
    for key in 0..comptime!(KEYS / e) {
        let mut sums = Sequence::<cmma::Matrix<f32>>::new();
        #[unroll]
        for _ in 0..comptime!(ROWS / e) {
            sums.push(accumulator(units));
        }
        #[unroll]
        for c in 0..steps {
            let keys = cmma::Matrix::<F>::from_slice(
                cmma::MatrixIdent::B,
                e,
                e,
                e,
                cmma::MatrixLayout::ColMajor,
                &operands[comptime!(key * e * pitch + c * e)..comptime!(TILE * pitch)],
                comptime!(pitch as u32),
            );
            #[unroll]
            for r in 0..comptime!(ROWS / e) {
                let sum = sums.index(r);
                cmma::execute(queries.index(comptime!(r * steps + c)), &keys, sum, sum);
            }
        }
        #[unroll]
        for r in 0..comptime!(ROWS / e) {
            let to = (plane * ROWS + r * e) * SCORE_PITCH + key * e;
            let end = comptime!(TILE * SCORE_PITCH);
            cmma::store(
                &mut scores[to..end],
                sums.index(r),
                comptime!(SCORE_PITCH as u32),
                cmma::MatrixLayout::RowMajor,
            );
        }
    }
}

/// Multiplies each row of the result by its factor, by way of shared memory.
#[cube]
fn rescale(
    result: &mut Sequence<cmma::Matrix<f32>>,
    factors: &Shared<[f32]>,
    plane: usize,
    scores: &mut Shared<[f32]>,
    #[comptime] d: usize,
    #[comptime] units: Units,
) {
    let e = comptime!(units.edge);
    #[unroll]
    for column in 0..comptime!(d / BLOCK) {
        store_block(result, plane, column, scores, d, units);
        sync_cube();
        for item in range_stepped(UNIT_POS as usize, comptime!(TILE * BLOCK), comptime!(PLANES * units.plane))
        {
            let line = item / BLOCK;
            scores[line * SCORE_PITCH + item % BLOCK] *= factors[line];
        }
        sync_cube();
        #[unroll]
        for r in 0..comptime!(ROWS / e) {
            #[unroll]
            for c in 0..comptime!(BLOCK / e) {
                let from = (plane * ROWS + r * e) * SCORE_PITCH + c * e;
                cmma::load_with_layout(
                    result.index_mut(comptime!(r * (d / e) + column * (BLOCK / e) + c)),
                    &scores[from..comptime!(TILE * SCORE_PITCH)],
                    comptime!(SCORE_PITCH as u32),
                    cmma::MatrixLayout::RowMajor,
                );
            }
        }
        sync_cube();
    }
}

/// Stores the plane's rows of a block of 16 columns of the result where the scores were.
#[cube]
fn store_block(
    result: &mut Sequence<cmma::Matrix<f32>>,
    plane: usize,
    #[comptime] column: usize,
    scores: &mut Shared<[f32]>,
    #[comptime] d: usize,
    #[comptime] units: Units,
) {
    let e = comptime!(units.edge);
    #[unroll]
    for r in 0..comptime!(ROWS / e) {
        #[unroll]
        for c in 0..comptime!(BLOCK / e) {
            let to = (plane * ROWS + r * e) * SCORE_PITCH + c * e;
            let end = comptime!(TILE * SCORE_PITCH);
            cmma::store(
                &mut scores[to..end],
                result.index(comptime!(r * (d / e) + column * (BLOCK / e) + c)),
                comptime!(SCORE_PITCH as u32),
                cmma::MatrixLayout::RowMajor,
            );
        }
    }
}

/// Adds the staged values by weight.
#[cube]
fn add_values<F: Float>(
    weights: &Shared<[F]>,
    operands: &Shared<[F]>,
    plane: usize,
    result: &mut Sequence<cmma::Matrix<f32>>,
    #[comptime] d: usize,
    #[comptime] units: Units,
) {
    let e = comptime!(units.edge);
    let pitch = comptime!(d + PAD);
    #[unroll]
    for key in 0..comptime!(KEYS / e) {
        let mut rows = Sequence::<cmma::Matrix<F>>::new();
        #[unroll]
        for r in 0..comptime!(ROWS / e) {
            let from = (plane * ROWS + r * e) * WEIGHT_PITCH + key * e;
            rows.push(cmma::Matrix::<F>::from_slice(
                cmma::MatrixIdent::A,
                e,
                e,
                e,
                cmma::MatrixLayout::RowMajor,
                &weights[from..comptime!(TILE * WEIGHT_PITCH)],
                comptime!(WEIGHT_PITCH as u32),
            ));
        }
        #[unroll]
        for c in 0..comptime!(d / e) {
            let values = cmma::Matrix::<F>::from_slice(
                cmma::MatrixIdent::B,
                e,
                e,
                e,
                cmma::MatrixLayout::RowMajor,
                &operands[comptime!((KEYS + key * e) * pitch + c * e)..comptime!(TILE * pitch)],
                comptime!(pitch as u32),
            );
            #[unroll]
            for r in 0..comptime!(ROWS / e) {
                let sum = result.index(comptime!(r * (d / e) + c));
                cmma::execute(rows.index(r), &values, sum, sum);
            }
        }
    }
}
