//! The softmax between the two products: the units of a plane share its rows of scores evenly.

#![allow(clippy::too_many_arguments, reason = "a kernel has no state but its arguments")]

use cubecl::prelude::*;

use super::{
    super::{Form, HIDDEN, MIN_EXPONENT, Sizes, sees},
    Four, Staged, Units, flag,
    lines::{Line, set_pair},
    products::first_row,
};

/// How far a score may exceed the maximum its weight is taken against.
const SLACK: f32 = 8.0;

/// The block of queries and keys a cube works on.
#[derive(CubeType, Clone, Copy)]
pub(super) struct Own {
    pub row: usize,
    pub key: usize,
}

/// What the unit knows of each of its rows after the keys so far.
#[derive(CubeType)]
pub(super) struct State {
    /// What weights are taken against: the row's maximum, or up to the slack below it.
    max: Array<f32>,
    /// Of this unit's keys alone.
    sum: Array<f32>,
}

#[cube]
impl State {
    pub fn new(#[comptime] units: Units) -> State {
        let mut max = Array::<f32>::new(comptime!(units.owned()));
        let mut sum = Array::<f32>::new(comptime!(units.owned()));
        #[unroll]
        for i in 0..comptime!(units.owned()) {
            max[i] = f32::new(HIDDEN);
            sum[i] = 0.0f32;
        }
        State { max, sum }
    }
}

/// The online softmax: weights of the scores, the factor of what was summed before, whether that is not one in
/// `rises`, and the state after this block.
#[cube]
pub(super) fn soften<F: Float, S: Numeric>(
    own: &Own,
    shared: &mut Staged<S>,
    state: &mut State,
    sizes: &Sizes,
    #[comptime] form: Form,
    #[comptime] units: Units,
) {
    #[unroll]
    for i in 0..comptime!(units.owned()) {
        let line = own_row(i, units);
        let scores = read(&shared.scores, own, line, sizes, form, units);
        let highest = row_max(highest(&scores, units), line, &mut shared.parts, units);
        let max_seen = state.max[i];
        let rises = highest > max_seen + SLACK;
        let new_max = select(rises, highest, max_seen);
        let factor = max(max_seen - new_max, MIN_EXPONENT).exp();
        if rises {
            shared.rises[flag(units)] = 1;
        }
        shared.factors[line] = factor;
        state.max[i] = new_max;
        let sum = weigh::<F, S>(&scores, line, new_max, &mut shared.weights, units);
        state.sum[i] = state.sum[i] * factor + sum;
    }
}

/// The row of the cube that is this unit's row number `i`, with the others of its plane that share it.
#[cube]
fn own_row(#[comptime] i: usize, #[comptime] units: Units) -> usize {
    first_row(units) + UNIT_POS_X as usize / comptime!(units.sharers()) + comptime!(i * units.plane)
}

/// Which of the units that share a row this one is.
#[cube]
fn part(#[comptime] units: Units) -> usize {
    UNIT_POS_X as usize % comptime!(units.sharers())
}

/// The key before the unit's keys from number `at` on.
#[cube]
fn own_key(#[comptime] at: usize, #[comptime] units: Units) -> usize {
    let stripe = comptime!(units.stripe());
    part(units) * stripe + comptime!(at / stripe * stripe * units.sharers() + at % stripe)
}

/// The unit's scores of a row, with the score that stands for a key where the query does not see it.
#[cube]
fn read(
    scores: &Shared<[Four]>,
    own: &Own,
    line: usize,
    sizes: &Sizes,
    #[comptime] form: Form,
    #[comptime] units: Units,
) -> Array<Four> {
    let vectors = comptime!(units.own_keys() / 4);
    let mut read = Array::<Four>::new(vectors);
    #[unroll]
    for at in 0..vectors {
        let key = own_key(comptime!(4 * at), units);
        read[at] = scores[line * comptime!(units.score_pitch()) + key / 4];
    }
    let mut all_seen = own.key + comptime!(units.keys) <= sizes.lk as usize;
    if comptime!(form.window) {
        all_seen = false;
    }
    if !all_seen {
        hide(&mut read, own, line, sizes, form, units);
    }
    read
}

/// Replaces the scores of keys the query does not see.
#[cube]
fn hide(
    scores: &mut Array<Four>,
    own: &Own,
    line: usize,
    sizes: &Sizes,
    #[comptime] form: Form,
    #[comptime] units: Units,
) {
    #[unroll]
    for at in 0..comptime!(units.own_keys() / 4) {
        let mut vector = scores[at];
        #[unroll]
        for c in 0..4usize {
            let key = own.key + own_key(comptime!(4 * at + c), units);
            let mut seen = key < sizes.lk as usize;
            if comptime!(form.window) {
                seen = seen && sees(own.row + line, key, sizes);
            }
            vector.insert(c, select(seen, vector.extract(c), f32::new(HIDDEN)));
        }
        scores[at] = vector;
    }
}

/// The highest of the unit's scores of a row.
#[cube]
fn highest(scores: &Array<Four>, #[comptime] units: Units) -> f32 {
    let mut highest = scores[0];
    #[unroll]
    for at in 1..comptime!(units.own_keys() / 4) {
        highest = max(highest, scores[at]);
    }
    let low = max(highest.extract(0usize), highest.extract(1usize));
    max(low, max(highest.extract(2usize), highest.extract(3usize)))
}

/// The maximum of `own` over the units that share a row.
#[cube]
fn row_max(own: f32, line: usize, parts: &mut Shared<[f32]>, #[comptime] units: Units) -> f32 {
    let sharers = comptime!(units.sharers());
    let mut highest = own;
    if comptime!(sharers > 1) {
        parts[line * sharers + part(units)] = own;
        sync_plane();
        #[unroll]
        for other in 0..sharers {
            highest = max(highest, parts[line * sharers + other]);
        }
    }
    highest
}

/// Writes the weights of the unit's scores of a row, and returns their sum as f16 rounds them.
#[cube]
fn weigh<F: Float, S: Numeric>(
    scores: &Array<Four>,
    line: usize,
    max_seen: f32,
    weights: &mut Shared<[Line<S>]>,
    #[comptime] units: Units,
) -> f32 {
    let halves = comptime!(units.halves());
    let mut sums = Vector::<f32, Const<2>>::new(0.0f32);
    #[unroll]
    for at in 0..comptime!(units.own_keys() / halves) {
        let mut vector = Line::<S>::empty();
        #[unroll]
        for p in 0..comptime!(halves / 2) {
            let first = comptime!(at * halves + 2 * p);
            let pair = weight_pair::<F>(scores[comptime!(first / 4)], comptime!(first % 4), max_seen);
            sums += Vector::cast_from(pair);
            set_pair::<F, S>(&mut vector, p, pair, units);
        }
        let key = own_key(comptime!(at * halves), units);
        weights[line * comptime!(units.pitch(units.keys)) + key / halves] = vector;
    }
    sums.extract(0usize) + sums.extract(1usize)
}

/// Weights of the scores `first` and the next of four.
#[cube]
fn weight_pair<F: Float>(scores: Four, #[comptime] first: usize, max_seen: f32) -> Vector<F, Const<2>> {
    // Finite, also for keys that are not seen.
    let mut exponents = Vector::<f32, Const<2>>::new(0.0f32);
    exponents.insert(0usize, scores.extract(first) - max_seen);
    exponents.insert(1usize, scores.extract(comptime!(first + 1)) - max_seen);
    Vector::cast_from(exponents.exp())
}

/// Makes one over each row's sum the row's factor.
#[cube]
pub(super) fn finish<S: Numeric>(state: &State, shared: &mut Staged<S>, #[comptime] units: Units) {
    let sharers = comptime!(units.sharers());
    #[unroll]
    for i in 0..comptime!(units.owned()) {
        shared.parts[own_row(i, units) * sharers + part(units)] = state.sum[i];
    }
    sync_plane();
    #[unroll]
    for i in 0..comptime!(units.owned()) {
        let line = own_row(i, units);
        let mut total = 0.0f32;
        #[unroll]
        for other in 0..sharers {
            total += shared.parts[line * sharers + other];
        }
        shared.factors[line] = 1.0f32 / total;
    }
}
