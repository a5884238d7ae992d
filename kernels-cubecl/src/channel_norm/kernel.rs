//! A cube works on 32 neighbouring vectors of pixels; eight units share the channels of each.

use cubecl::prelude::*;

use crate::cube::sigmoid;

/// Smallest norm that is divided by.
pub const SMALLEST: f32 = 1e-12;

/// Vectors of pixels of a cube.
pub const VECTORS: usize = 32;

/// Units that share a vector of pixels.
pub const PARTS: usize = 8;

/// `x`, `out`: `[b, channels, vectors]`, `total = b * vectors`; `gamma`: `[channels]`; `root`: the square root of
/// `channels`. `out` may be `x`.
#[cube(launch_unchecked, create_dummy_kernel)]
pub fn channel_norm_kernel<X: Float, G: Float, N: Size>(
    x: &[Vector<X, N>],
    gamma: &[G],
    out: &mut [Vector<X, N>],
    total: u32,
    vectors: u32,
    channels: u32,
    root: f32,
    #[comptime] silu: bool,
    #[define(X, G)] _dtypes: [ElemType; 2],
) {
    let lane = UNIT_POS as usize % VECTORS;
    let part = UNIT_POS as usize / VECTORS;
    let at = CUBE_POS * VECTORS + lane;
    let inside = at < total as usize;
    let vectors = vectors as usize;
    let channels = channels as usize;
    let start = at / vectors * vectors * channels + at % vectors;
    let rounds = (channels + PARTS - 1 - part) / PARTS;

    let mut partial = Shared::<[Vector<f32, N>]>::new_slice(comptime!(VECTORS * PARTS));
    let mut sum = Vector::<f32, N>::new(0.0f32);
    if inside {
        for k in 0..rounds {
            let value = Vector::<f32, N>::cast_from(x[start + (part + k * PARTS) * vectors]);
            sum += value * value;
        }
    }
    partial[UNIT_POS as usize] = sum;
    sync_cube();

    let mut squares = partial[lane];
    #[unroll]
    for other in 1..PARTS {
        squares += partial[lane + other * VECTORS];
    }
    let norm = max(squares.sqrt(), Vector::<f32, N>::new(SMALLEST));
    let scale = Vector::<f32, N>::new(root) / norm;
    if inside {
        for k in 0..rounds {
            let channel = part + k * PARTS;
            let index = start + channel * vectors;
            let factor = Vector::<f32, N>::new(f32::cast_from(gamma[channel]));
            let mut value = Vector::<f32, N>::cast_from(x[index]) * scale * factor;
            if comptime!(silu) {
                value = value * sigmoid::<N>(value);
            }
            out[index] = Vector::cast_from(value);
        }
    }
}
