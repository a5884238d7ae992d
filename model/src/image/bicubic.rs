//! Cubic convolution of f32 values at four neighbours a side, as torch computes it.

/// Torch's coefficient; Pillow's is -0.5.
const A: f32 = -0.75;

/// The neighbours of one output position and their weights.
struct Taps {
    at: [usize; 4],
    weights: [f32; 4],
}

/// One plane of `from` = `[height, width]` values at the size `to`; values past an edge are the edge's.
pub(super) fn bicubic(plane: &[f32], from: [usize; 2], to: [usize; 2]) -> Vec<f32> {
    let [rows, columns] = [0, 1].map(|side| taps(from[side], to[side]));
    let mut out = Vec::with_capacity(to[0] * to[1]);
    for row in &rows {
        let lines = row.at.map(|at| &plane[at * from[1]..(at + 1) * from[1]]);
        let value = |column: &Taps| {
            let across = lines.map(|line| weighted(column.at.map(|at| line[at]), column.weights));
            weighted(across, row.weights)
        };
        out.extend(columns.iter().map(value));
    }
    out
}

fn weighted(values: [f32; 4], weights: [f32; 4]) -> f32 {
    (1..4).fold(values[0] * weights[0], |sum, n| sum + values[n] * weights[n])
}

/// The taps of each of `to` positions among `from`.
fn taps(from: usize, to: usize) -> Vec<Taps> {
    // f32 with one rounding, as in the reference: some hundreds of pixels in, another shows in the fifth digit.
    let scale = from as f32 / to as f32;
    let one = |position: usize| {
        let source = scale.mul_add(position as f32 + 0.5, -0.5);
        let first = source.floor();
        let neighbour = |n: i64| (first as i64 - 1 + n).clamp(0, from as i64 - 1) as usize;
        Taps { at: [0, 1, 2, 3].map(neighbour), weights: weights((source - first).clamp(0.0, 1.0)) }
    };
    (0..to).map(one).collect()
}

/// Weights of the four neighbours of a point `t` of the way from the second to the third.
fn weights(t: f32) -> [f32; 4] {
    let inner = |x: f32| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let outer = |x: f32| ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
    [outer(t + 1.0), inner(t), inner(1.0 - t), outer(2.0 - t)]
}
