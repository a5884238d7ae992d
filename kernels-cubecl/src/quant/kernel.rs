//! The form for many rows of activations: a cube of 16 x 16 units computes a tile of 128 x 128 results, 8 columns of `k` at a time.
//!
//! Activations and weights pass through shared memory in f32, `[column][row]` each; the weight's words become f32 on
//! their way there. Each unit holds 8 x 8 results in registers. Only barriers of the whole cube are used.

#![allow(clippy::too_many_arguments, reason = "a kernel has no state but its arguments")]
#![allow(clippy::manual_div_ceil, reason = "CubeCL expands operators, not std methods")]

pub mod codes;
pub mod few;
mod load;

use cubecl::prelude::*;

use codes::Weight;
use load::{load_weights, load_x};

/// Units along either side of a cube.
pub const SIDE: usize = 16;

/// Vectors of results that a unit holds along either axis.
const FOURS: usize = 2;

/// Results of a cube along either axis.
pub const TILE: usize = SIDE * FOURS * 4;

/// Columns of `k` in shared memory at a time.
const PIECE: usize = 8;

/// Vectors from one column of shared memory to the next; odd, so that columns fall on different banks.
const PITCH: usize = SIDE * FOURS + 1;

/// Vectors of one staged operand.
const STAGE: usize = PIECE * PITCH;

/// Codes of four bits.
const CODES: usize = 16;

/// Bytes of shared memory of a cube: both operands and the code book.
pub const SHARED_BYTES: usize = 2 * STAGE * 16 + CODES * 4;

/// Four values of shared memory or registers.
type Four = Vector<f32, Const<4>>;

/// What the codes of a weight are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// Two's complement.
    Int8,
    /// Numbers of a code book.
    Nf4,
}

/// What a kernel is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Form {
    pub code: Code,
    /// Whether scales are bytes of a map, by scales of their own.
    pub nested: bool,
}

impl Form {
    /// Codes of a word.
    const fn per_word(&self) -> usize {
        match self.code {
            Code::Int8 => 4,
            Code::Nf4 => 8,
        }
    }
}

/// Sizes of a launch.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub struct Sizes {
    pub m: u32,
    pub n: u32,
    /// A multiple of `block`.
    pub k: u32,
    /// Columns that share a scale; a multiple of 8.
    pub block: u32,
    /// This launch works on tiles `first..end` of all, those of one column of tiles after each other.
    pub first: u32,
    pub end: u32,
}

/// `x`: `[m, k]`, `words`: `[n, k / 4 or 8]`, `out`: `[m, n]`; `scales`: `[n, k / block]`, or of 256 `codes` each, whose
/// values are in `map`.
#[cube(launch_unchecked, create_dummy_kernel)]
pub fn quantized_product_kernel<X: Float, S: Float, N: Size>(
    x: &[Vector<X, N>],
    words: &[u32],
    scales: &[S],
    codes: &[u32],
    map: &[f32],
    out: &mut [f32],
    sizes: Sizes,
    offset: f32,
    #[comptime] form: Form,
    #[define(X, S)] _dtypes: [ElemType; 2],
) {
    let tile = CUBE_POS + sizes.first as usize;
    if tile >= sizes.end as usize {
        terminate!();
    }
    let tiles = (sizes.m as usize + TILE - 1) / TILE;
    let row = tile % tiles * TILE;
    let column = tile / tiles * TILE;
    let unit = UNIT_POS as usize;
    let (own_x, own_y) = (unit % SIDE, unit / SIDE);
    let weight = Weight::<S>::new(words, scales, codes, map, offset);
    let mut book = Shared::<[f32]>::new_slice(CODES);
    codes::write_book(&mut book, form);
    let mut stage = Shared::<[Four]>::new_slice(comptime!(2 * STAGE));
    let mut sums = Array::<Four>::new(comptime!(4 * FOURS * FOURS));

    for piece in 0..(sizes.k as usize + PIECE - 1) / PIECE {
        sync_cube();
        load_x::<X, N>(x, row, piece * PIECE, &sizes, &mut stage);
        load_weights::<S>(&weight, &book, column, piece * PIECE, &sizes, &mut stage, form);
        sync_cube();
        multiply(&stage, own_x, own_y, &mut sums);
    }
    store(out, &sums, row + 4 * own_y, column + 4 * own_x, &sizes);
}

/// Adds the products of the staged columns: one vector of 4 outputs for each of 4 rows, of all pairs of vectors.
#[cube]
fn multiply(stage: &Shared<[Four]>, own_x: usize, own_y: usize, sums: &mut Array<Four>) {
    #[unroll]
    for c in 0..PIECE {
        let mut weights = Array::<Four>::new(FOURS);
        #[unroll]
        for across in 0..FOURS {
            weights[across] = stage[STAGE + c * PITCH + own_x + across * SIDE];
        }
        #[unroll]
        for down in 0..FOURS {
            let rows = stage[c * PITCH + own_y + down * SIDE];
            #[unroll]
            for r in 0..4usize {
                let factor = Four::new(rows.extract(r));
                #[unroll]
                for across in 0..FOURS {
                    sums[(down * 4 + r) * FOURS + across] += weights[across] * factor;
                }
            }
        }
    }
}

/// Writes the unit's results, as far as there are rows and columns.
#[cube]
fn store(out: &mut [f32], sums: &Array<Four>, first_row: usize, first_column: usize, sizes: &Sizes) {
    let n = sizes.n as usize;
    #[unroll]
    for line in 0..comptime!(4 * FOURS) {
        let row = first_row + comptime!(line / 4 * 4 * SIDE + line % 4);
        if row < sizes.m as usize {
            #[unroll]
            for across in 0..FOURS {
                let column = first_column + across * 4 * SIDE;
                #[unroll]
                for c in 0..4usize {
                    if column + c < n {
                        out[row * n + column + c] = sums[line * FOURS + across].extract(c);
                    }
                }
            }
        }
    }
}
