//! The softmax between the two products: the units of a plane share its rows of scores evenly.

#![allow(clippy::too_many_arguments, reason = "a kernel has no state but its arguments")]

use cubecl::prelude::*;

use super::{
    super::{Form, HIDDEN, MIN_EXPONENT, Sizes, sees},
    KEYS, ROWS, SCORE_PITCH, Staged, Units, WEIGHT_PITCH,
};

/// How far a score may exceed the maximum its weight is taken against.
const SLACK: f32 = 8.0;

/// The block of queries and keys a unit works on.
#[derive(CubeType, Clone, Copy)]
pub(super) struct Own {
    pub row: usize,
    pub key: usize,
}

/// What the unit knows of its row after the keys so far.
#[derive(CubeType)]
pub(super) struct State {
    /// What weights are taken against: the row's maximum, or up to the slack below it.
    max: f32,
    /// Of this unit's keys alone until the end.
    pub sum: f32,
}

#[cube]
impl State {
    pub fn new() -> State {
        State { max: f32::new(HIDDEN), sum: 0.0f32 }
    }
}

/// The online softmax: weights of the scores, the factor of what was summed before, whether that is not one in
/// `rises[parity]`, and the state after this block.
#[cube]
pub(super) fn soften<F: Float>(
    own: &Own,
    parity: usize,
    shared: &mut Staged<F>,
    state: &mut State,
    sizes: &Sizes,
    #[comptime] form: Form,
    #[comptime] units: Units,
) {
    let new_max = raised(&shared.scores, own, state.max, sizes, form, units);
    let factor = max(state.max - new_max, MIN_EXPONENT).exp();
    if new_max > state.max {
        shared.rises[parity] = 1;
    }
    shared.factors[own_row(units)] = factor;
    state.max = new_max;
    let sum = weigh::<F>(&shared.scores, own, new_max, &mut shared.weights, sizes, form, units);
    state.sum = state.sum * factor + sum;
}

/// The row of the cube this unit works on, with the others of its plane that share it.
#[cube]
pub(super) fn own_row(#[comptime] units: Units) -> usize {
    UNIT_POS_Y as usize * ROWS + UNIT_POS_X as usize / comptime!(units.plane / ROWS)
}

/// The maximum to weigh the own row's scores against: as it was, or the row's if that is more than the slack above.
#[cube]
fn raised(
    scores: &Shared<[f32]>,
    own: &Own,
    max_seen: f32,
    sizes: &Sizes,
    #[comptime] form: Form,
    #[comptime] units: Units,
) -> f32 {
    let line = own_row(units);
    let mut highest = f32::new(HIDDEN);
    #[unroll]
    for key in 0..KEYS {
        let score = visible(scores[line * SCORE_PITCH + key], own, line, key, sizes, form);
        highest = max(highest, score);
    }
    select(highest > max_seen + SLACK, highest, max_seen)
}

/// `score`, or the score that stands for a key the query does not see.
#[cube]
fn visible(score: f32, own: &Own, line: usize, key: usize, sizes: &Sizes, #[comptime] form: Form) -> f32 {
    let mut seen = own.key + key < sizes.lk as usize;
    if comptime!(form.window) {
        seen = seen && sees(own.row + line, own.key + key, sizes);
    }
    select(seen, score, f32::new(HIDDEN))
}

/// Writes the weights of this unit's share of its row, and returns their sum as f16 rounds them.
#[cube]
fn weigh<F: Float>(
    scores: &Shared<[f32]>,
    own: &Own,
    max_seen: f32,
    weights: &mut Shared<[F]>,
    sizes: &Sizes,
    #[comptime] form: Form,
    #[comptime] units: Units,
) -> f32 {
    let share = comptime!(units.plane / ROWS);
    let line = own_row(units);
    let mut sum = 0.0f32;
    #[unroll]
    for step in 0..comptime!(KEYS / share) {
        let key = UNIT_POS_X as usize % share + step * share;
        let score = visible(scores[line * SCORE_PITCH + key], own, line, key, sizes, form);
        let weight = F::cast_from(max(score - max_seen, MIN_EXPONENT).exp());
        weights[line * WEIGHT_PITCH + key] = weight;
        sum += f32::cast_from(weight);
    }
    sum
}

/// The sum of `own` over the units that share a row, by way of the scores' memory.
#[cube]
pub(super) fn row_total(own: f32, scores: &mut Shared<[f32]>, #[comptime] units: Units) -> f32 {
    let share = comptime!(units.plane / ROWS);
    let line = own_row(units);
    scores[line * SCORE_PITCH + UNIT_POS_X as usize % share] = own;
    sync_cube();
    let mut total = 0.0f32;
    #[unroll]
    for part in 0..share {
        total += scores[line * SCORE_PITCH + part];
    }
    total
}
