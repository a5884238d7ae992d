//! The form for matrix units: each plane of a cube with 16 queries, against 32 keys at a time, in f16.
//!
//! Queries, and the result in f32, stay in the planes' matrix registers. How those are laid out is the device's
//! secret, so scores and weights pass through shared memory, each plane's through its own part of it: the planes of a
//! cube meet only where keys and values are staged. The result would have to pass as well each time a maximum
//! rises: instead a row keeps the maximum it has until another is a slack above it, which after the first blocks
//! hardly happens. Weights then exceed one, up to e^8, which f16 holds as precisely as any.

#![allow(clippy::too_many_arguments, reason = "a kernel has no state but its arguments")]
#![allow(
    clippy::manual_div_ceil,
    clippy::manual_range_contains,
    reason = "CubeCL expands operators, not std methods"
)]

mod lines;
mod products;
mod result;
mod softmax;
mod units;

use cubecl::prelude::*;

use super::{Form, Head, Place, Sizes, Strides, Table, reaches};
use lines::{Line, Piece, fetch, put, stage};
use products::{add_values, empty_result, load_queries, score};
use result::{rescale, store};
use softmax::{Own, State, finish, soften};
use units::LINE;
pub use units::Units;

/// Four scores of one query.
type Four = Vector<f32, Const<4>>;

/// As [`super::units::attention_kernel`], with the units of a plane along x and the planes along y; the head's width
/// is a multiple of 16. `S`: what tensors hold by [`Units::packed`], f16 or pairs of them as u32.
#[cube(launch_unchecked, create_dummy_kernel)]
pub fn matrix_attention_kernel<F: Float, S: Numeric>(
    q: &[Line<S>],
    k: &[Line<S>],
    v: &[Line<S>],
    cos: &[f32],
    sin: &[f32],
    out: &mut [Line<S>],
    q_strides: Strides,
    k_strides: Strides,
    v_strides: Strides,
    sizes: Sizes,
    scale: f32,
    #[comptime] form: Form,
    #[comptime] units: Units,
    #[define(F, S)] _elems: [ElemType; 2],
) {
    let block = CUBE_POS + sizes.first as usize;
    if block >= sizes.end as usize {
        terminate!();
    }
    let keys_of_block = comptime!(units.keys);
    let place = Place::new(block, &sizes, comptime!(units.tile()));
    let queries = Head::<S, Const<4>>::new(q, &q_strides, &place, sizes.lq);
    let keys = Head::<S, Const<4>>::new(k, &k_strides, &place, sizes.lk);
    let values = Head::<S, Const<4>>::new(v, &v_strides, &place, sizes.lk);
    let table = Table::new(cos, sin);
    let mut shared = Staged::<S>::new(form, units);
    let queries = load_queries::<F, S>(&queries, &table, place.row, scale, &mut shared.operands, form, units);
    let mut result = empty_result(form.d, units);
    let mut state = State::new(units);
    let ahead = comptime!(units.ahead(form));
    let mut next = Array::<Line<S>>::new(comptime!(2 * units.fetched(form.d)));
    if comptime!(ahead) {
        fetch_block::<S>(&keys, &values, 0usize, &mut next, form, units);
    }

    for key_block in 0..(sizes.lk as usize + keys_of_block - 1) / keys_of_block {
        let own = Own { row: place.row, key: key_block * keys_of_block };
        if reaches(own.row, comptime!(units.tile()), own.key, keys_of_block, &sizes, form) {
            sync_cube();
            if comptime!(ahead) {
                put_block::<S>(&next, &mut shared.operands, form, units);
            } else {
                load_keys::<F, S>(&keys, &table, own.key, &mut shared.operands, form, units);
                load_values::<F, S>(&values, &table, own.key, &mut shared.operands, form, units);
            }
            shared.rises[flag(units)] = 0;
            sync_cube();
            if comptime!(ahead) {
                // Beyond the last block, copies of the last rows that nobody reads.
                fetch_block::<S>(&keys, &values, own.key + keys_of_block, &mut next, form, units);
            }
            score::<F, S>(&queries, &shared.operands, &mut shared.scores, form.d, units);
            sync_plane();
            soften::<F, S>(&own, &mut shared, &mut state, &sizes, form, units);
            if comptime!(units.together) {
                sync_cube();
            } else {
                sync_plane();
            }
            if shared.rises[flag(units)] == 1 {
                rescale::<S>(&mut result, &mut shared, form.d, units);
            }
            add_values::<F, S>(&shared.weights, &shared.operands, &mut result, form.d, units);
        }
    }
    sync_plane();
    finish::<S>(&state, &mut shared, units);
    store::<F, S>(out, &mut result, &mut shared, &place, &sizes, form, units);
}

/// What the units of a cube share.
#[derive(CubeType)]
struct Staged<S: Numeric> {
    /// Rows of queries, or of a block's keys and values.
    operands: Shared<[Line<S>]>,
    /// `[query][key]`, or a block of the result.
    scores: Shared<[Four]>,
    /// `[query][key]`
    weights: Shared<[Line<S>]>,
    /// What each query's result is to be multiplied by.
    factors: Shared<[f32]>,
    /// What each of the units that share a row found: `[query][unit]`.
    parts: Shared<[f32]>,
    /// Whether any maximum of a plane rose.
    rises: Shared<[u32]>,
}

#[cube]
impl<S: Numeric> Staged<S> {
    fn new(#[comptime] form: Form, #[comptime] units: Units) -> Staged<S> {
        Staged::<S> {
            operands: Shared::<[Line<S>]>::new_aligned_slice(comptime!(units.operand_lines(form.d)), 16usize),
            scores: Shared::<[Four]>::new_aligned_slice(comptime!(units.score_vectors()), 16usize),
            weights: Shared::<[Line<S>]>::new_aligned_slice(comptime!(units.weight_lines()), 16usize),
            factors: Shared::<[f32]>::new_slice(comptime!(units.tile())),
            parts: Shared::<[f32]>::new_slice(comptime!(units.tile() * units.sharers())),
            rises: Shared::<[u32]>::new_slice(comptime!(units.planes)),
        }
    }
}

/// Which flag says that the plane's result is to be scaled.
#[cube]
fn flag(#[comptime] units: Units) -> usize {
    let mut flag = UNIT_POS_Y as usize;
    if comptime!(units.together) {
        flag = 0usize;
    }
    flag
}

/// Takes a block of keys and its values to registers.
#[cube]
fn fetch_block<S: Numeric>(
    keys: &Head<'_, S, Const<4>>,
    values: &Head<'_, S, Const<4>>,
    key: usize,
    next: &mut Array<Line<S>>,
    #[comptime] form: Form,
    #[comptime] units: Units,
) {
    fetch::<S>(keys, key, next, 0usize, form.d, units);
    fetch::<S>(values, key, next, comptime!(units.fetched(form.d)), form.d, units);
}

/// Puts them from there to shared memory.
#[cube]
fn put_block<S: Numeric>(
    next: &Array<Line<S>>,
    operands: &mut Shared<[Line<S>]>,
    #[comptime] form: Form,
    #[comptime] units: Units,
) {
    put::<S>(next, 0usize, operands, 0usize, form.d, units);
    put::<S>(next, comptime!(units.fetched(form.d)), operands, comptime!(units.keys), form.d, units);
}

/// Brings a block of keys to shared memory.
#[cube]
fn load_keys<F: Float, S: Numeric>(
    keys: &Head<'_, S, Const<4>>,
    table: &Table<'_>,
    key: usize,
    operands: &mut Shared<[Line<S>]>,
    #[comptime] form: Form,
    #[comptime] units: Units,
) {
    let piece = comptime!(Piece {
        line: 0,
        rows: units.keys,
        column: 0,
        columns: form.d,
        rotate: form.rotate,
        scale: false
    });
    stage::<F, S>(keys, table, key, 1.0f32, operands, piece, form, units);
}

/// Brings the block's values there, behind the keys.
#[cube]
fn load_values<F: Float, S: Numeric>(
    values: &Head<'_, S, Const<4>>,
    table: &Table<'_>,
    key: usize,
    operands: &mut Shared<[Line<S>]>,
    #[comptime] form: Form,
    #[comptime] units: Units,
) {
    let piece = comptime!(Piece {
        line: units.keys,
        rows: units.keys,
        column: 0,
        columns: form.d,
        rotate: false,
        scale: false
    });
    stage::<F, S>(values, table, key, 1.0f32, operands, piece, form, units);
}
