//! One cube per token: the row is read once, kept in registers for norm and rotation, and written head by head.

use cubecl::prelude::*;

use crate::cube::cube_sum;

/// `x`: `[rows, vectors]`, `rows` a multiple of `length`; `weight`: `[vectors]`; `cos`, `sin`: `[length, d / 2]`,
/// read if `rotate`; `out`: `[rows / length, heads, length, head_vectors]`; `width`: elements of a row; `pairs`: of a
/// vector.
#[cube(launch_unchecked, create_dummy_kernel)]
pub fn rms_norm_rope_kernel<X: Float, W: Float, O: Float, N: Size>(
    x: &[Vector<X, N>],
    weight: &[Vector<W, N>],
    cos: &[f32],
    sin: &[f32],
    out: &mut [Vector<O, N>],
    rows: u32,
    length: u32,
    width: f32,
    eps: f32,
    #[comptime] vectors: usize,
    #[comptime] head_vectors: usize,
    #[comptime] pairs: usize,
    #[comptime] units: usize,
    #[comptime] rotate: bool,
    #[define(X, W, O)] _dtypes: [ElemType; 3],
) {
    let row = CUBE_POS;
    if row >= rows as usize {
        terminate!();
    }
    let per_unit = comptime!(vectors.div_ceil(units));
    let unit = UNIT_POS as usize;
    let start = row * vectors;
    let mut partial = Shared::<[f32]>::new_slice(comptime!(units + 16));
    let mut values = Array::<Vector<f32, N>>::new(per_unit);

    let mut squares = Vector::<f32, N>::new(0.0f32);
    #[unroll]
    for k in 0..per_unit {
        let at = unit + k * units;
        if at < vectors {
            let value = Vector::<f32, N>::cast_from(x[start + at]);
            values[k] = value;
            squares += value * value;
        }
    }
    let mean_square = cube_sum(squares.vector_sum(), &mut partial, units) / width;
    let scale = Vector::<f32, N>::new((mean_square + eps).inverse_sqrt());

    let token = row % length as usize;
    let item = row / length as usize;
    let heads = comptime!(vectors / head_vectors);
    #[unroll]
    for k in 0..per_unit {
        let at = unit + k * units;
        if at < vectors {
            let head = at / head_vectors;
            let within = at % head_vectors;
            let mut y = values[k] * scale * Vector::<f32, N>::cast_from(weight[at]);
            if comptime!(rotate) {
                y = rotated::<N>(y, cos, sin, (token * head_vectors + within) * pairs, pairs);
            }
            let place = (item * heads + head) * length as usize + token;
            out[place * head_vectors + within] = Vector::cast_from(y);
        }
    }
}

/// `y` with its `pairs` turned by the angles from `first` on.
#[cube]
fn rotated<N: Size>(
    y: Vector<f32, N>,
    cos: &[f32],
    sin: &[f32],
    first: usize,
    #[comptime] pairs: usize,
) -> Vector<f32, N> {
    let mut turned = y;
    #[unroll]
    for p in 0..pairs {
        let c = cos[first + p];
        let s = sin[first + p];
        let re = y.extract(comptime!(2 * p));
        let im = y.extract(comptime!(2 * p + 1));
        turned.insert(comptime!(2 * p), re * c - im * s);
        turned.insert(comptime!(2 * p + 1), re * s + im * c);
    }
    turned
}
