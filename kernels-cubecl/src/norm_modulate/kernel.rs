//! One cube per row: the row is read once and kept in registers for mean, variance and modulation.

use cubecl::prelude::*;

use crate::cube::cube_sum;

/// `x`, `out`: `[rows, vectors]`; `scale`, `shift`: `[modulations, vectors]`, row `r` taking row
/// `(r / span) % modulations`; `width`: elements of a row.
#[cube(launch_unchecked, create_dummy_kernel)]
pub fn norm_modulate_kernel<X: Float, M: Float, N: Size>(
    x: &[Vector<X, N>],
    scale: &[Vector<M, N>],
    shift: &[Vector<M, N>],
    out: &mut [Vector<X, N>],
    rows: u32,
    span: u32,
    modulations: u32,
    width: f32,
    eps: f32,
    #[comptime] vectors: usize,
    #[comptime] units: usize,
    #[define(X, M)] _dtypes: [ElemType; 2],
) {
    let row = CUBE_POS;
    if row >= rows as usize {
        terminate!();
    }
    let per_unit = comptime!(vectors.div_ceil(units));
    let unit = UNIT_POS as usize;
    let start = row * vectors;
    let modulation = ((row / span as usize) % modulations as usize) * vectors;
    let mut partial = Shared::<[f32]>::new_slice(comptime!(units + 16));
    let mut values = Array::<Vector<f32, N>>::new(per_unit);

    let mut sum = Vector::<f32, N>::new(0.0f32);
    #[unroll]
    for k in 0..per_unit {
        let at = unit + k * units;
        if at < vectors {
            let value = Vector::<f32, N>::cast_from(x[start + at]);
            values[k] = value;
            sum += value;
        }
    }
    let mean = Vector::<f32, N>::new(cube_sum(sum.vector_sum(), &mut partial, units) / width);

    let mut squares = Vector::<f32, N>::new(0.0f32);
    #[unroll]
    for k in 0..per_unit {
        if unit + k * units < vectors {
            let centred = values[k] - mean;
            squares += centred * centred;
        }
    }
    let variance = cube_sum(squares.vector_sum(), &mut partial, units) / width;
    let inverse = Vector::<f32, N>::new((variance + eps).inverse_sqrt());

    let one = Vector::<f32, N>::new(1.0f32);
    #[unroll]
    for k in 0..per_unit {
        let at = unit + k * units;
        if at < vectors {
            let factor = one + Vector::<f32, N>::cast_from(scale[modulation + at]);
            let offset = Vector::<f32, N>::cast_from(shift[modulation + at]);
            out[start + at] = Vector::cast_from((values[k] - mean) * inverse * factor + offset);
        }
    }
}
