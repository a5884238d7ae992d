//! The softmax between the two products, which goes on from the keys seen before.

use cubecl::prelude::*;

use super::{
    super::{Form, HIDDEN, MIN_EXPONENT, Sizes, sees},
    Four, Own, PITCH, SIDE, Staged, columns,
};

/// What the unit knows of its queries after the keys so far.
#[derive(CubeType)]
pub(super) struct State {
    max: Four,
    /// Of this unit's keys alone until the end.
    pub sum: Four,
    /// `[query][column]`, not yet divided by the sums.
    pub result: Array<Four>,
}

#[cube]
impl State {
    pub fn new(#[comptime] form: Form) -> State {
        State {
            max: Four::new(HIDDEN),
            sum: Four::new(0.0f32),
            result: Array::<Four>::new(comptime!(4 * columns(form.d))),
        }
    }
}

/// Hides keys beyond the last, and those outside each query's window.
#[cube]
pub(super) fn hide(scores: &mut Array<Four>, row: usize, key: usize, sizes: &Sizes, #[comptime] form: Form) {
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

/// The online softmax: weights of the scores to shared memory, and the state against the new maximum.
#[cube]
pub(super) fn soften(
    scores: &Array<Four>,
    own: &Own,
    shared: &mut Staged,
    state: &mut State,
    #[comptime] form: Form,
) {
    let highest = max(max(scores[0], scores[1]), max(scores[2], scores[3]));
    let new_max = max(state.max, over_row(highest, own, &mut shared.rows, true));
    let factor = weight(state.max - new_max);
    state.max = new_max;
    state.sum = state.sum * factor + weigh(scores, new_max, own, &mut shared.weights);
    rescale(&mut state.result, factor, form);
}

/// The maximum or the sum of `own_value` over the units that share queries.
#[cube]
pub(super) fn over_row(
    own_value: Four,
    own: &Own,
    rows: &mut Shared<[Four]>,
    #[comptime] maximum: bool,
) -> Four {
    rows[own.x * SIDE + own.y] = own_value;
    sync_cube();
    let mut all = rows[own.y];
    #[unroll]
    for x in 1..SIDE {
        let other = rows[x * SIDE + own.y];
        if comptime!(maximum) {
            all = max(all, other);
        } else {
            all += other;
        }
    }
    all
}

/// Writes the weights of the scores to shared memory and returns their sum over own keys.
#[cube]
fn weigh(scores: &Array<Four>, max: Four, own: &Own, weights: &mut Shared<[Four]>) -> Four {
    let mut sum = Four::new(0.0f32);
    #[unroll]
    for j in 0..4usize {
        let weights_of_key = weight(scores[j] - max);
        sum += weights_of_key;
        weights[(4 * own.x + j) * PITCH + own.y] = weights_of_key;
    }
    sum
}

/// `exp(x)` for `x` of at most 0.
#[cube]
fn weight(x: Four) -> Four {
    max(x, Four::new(MIN_EXPONENT)).exp()
}

/// Multiplies each query's result by its factor.
#[cube]
fn rescale(result: &mut Array<Four>, factor: Four, #[comptime] form: Form) {
    let columns = comptime!(columns(form.d));
    #[unroll]
    for r in 0..4usize {
        let row_factor = Four::new(factor.extract(r));
        #[unroll]
        for c in 0..columns {
            result[r * columns + c] *= row_factor;
        }
    }
}
