//! What the two forms of the kernel share: arguments, rotation, windows.

pub mod matrix;
pub mod units;

use cubecl::prelude::*;

/// Queries of a cube of the form for any adapter, and keys of a block.
pub const TILE: usize = 64;

/// Stands for any larger size of a window; sums of it and a position stay below 2^32.
pub const FAR: usize = 1 << 30;

/// Stands for the score of a key that is not seen; finite, as fast math may take infinity for anything.
pub(super) const HIDDEN: f32 = -1.0e30;

/// Below this natural exponent a weight is nothing beside one.
pub(super) const MIN_EXPONENT: f32 = -80.0;

/// Vectors from one batch, head and token of an operand to the next.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub struct Strides {
    pub batch: u32,
    pub head: u32,
    pub token: u32,
}

/// Sizes of a launch.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub struct Sizes {
    pub heads: u32,
    pub lq: u32,
    pub lk: u32,
    /// Blocks of queries of one head.
    pub blocks: u32,
    /// This launch works on blocks `first..end` of all heads of all batches.
    pub first: u32,
    pub end: u32,
    /// Of the window, at most [`FAR`] each.
    pub size: u32,
    pub sink: u32,
}

/// What a kernel is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Form {
    /// Width of a head.
    pub d: usize,
    pub rotate: bool,
    /// Whether each query sees the keys of a window alone.
    pub window: bool,
}

/// The queries a cube works on.
#[derive(CubeType, Clone, Copy)]
pub(super) struct Place {
    batch: usize,
    head: usize,
    /// The first query.
    pub row: usize,
}

#[cube]
impl Place {
    /// Block number `block`, of `tile` queries, of all heads of all batches.
    pub fn new(block: usize, sizes: &Sizes, #[comptime] tile: usize) -> Place {
        let blocks = sizes.blocks as usize;
        let heads = sizes.heads as usize;
        Place { batch: block / (blocks * heads), head: block / blocks % heads, row: block % blocks * tile }
    }

    /// The row of the result, `[b, lq, h]` rows, that belongs to `query`.
    pub fn result_row(&self, query: usize, sizes: &Sizes) -> usize {
        (self.batch * sizes.lq as usize + query) * sizes.heads as usize + self.head
    }
}

/// One head of an operand.
#[derive(CubeType)]
pub(super) struct Head<'a, S: Numeric, N: Size> {
    data: &'a [Vector<S, N>],
    /// Its first vector.
    start: usize,
    token_stride: u32,
    pub tokens: usize,
}

#[cube]
impl<'a, S: Numeric, N: Size> Head<'a, S, N> {
    pub fn new(data: &'a [Vector<S, N>], strides: &Strides, place: &Place, tokens: u32) -> Head<'a, S, N> {
        let start = place.batch * strides.batch as usize + place.head * strides.head as usize;
        Head::<'a, S, N> { data, start, token_stride: strides.token, tokens: tokens as usize }
    }

    /// Vector `at` of a token's row, as it is stored.
    pub fn line(&self, token: usize, at: usize) -> Vector<S, N> {
        self.data[self.start + token * self.token_stride as usize + at]
    }

    /// And its numbers.
    pub fn vector(&self, token: usize, at: usize) -> Vector<f32, N> {
        Vector::cast_from(self.line(token, at))
    }
}

/// Cosines and sines: `[l, d / 2]`.
#[derive(CubeType)]
pub(super) struct Table<'a> {
    cos: &'a [f32],
    sin: &'a [f32],
}

#[cube]
impl<'a> Table<'a> {
    pub fn new(cos: &'a [f32], sin: &'a [f32]) -> Table<'a> {
        Table::<'a> { cos, sin }
    }
}

/// `x`, channels `at..` of a row, rotated by the position `token` if the form rotates.
#[cube]
pub(super) fn rotated<N: Size>(
    x: Vector<f32, N>,
    table: &Table<'_>,
    token: usize,
    at: usize,
    #[comptime] form: Form,
) -> Vector<f32, N> {
    let mut y = x;
    let n = N::value();
    if comptime!(form.rotate) {
        #[unroll]
        for pair in 0..comptime!(n / 2) {
            let angle = token * comptime!(form.d / 2) + at / 2 + pair;
            let cos = table.cos[angle];
            let sin = table.sin[angle];
            let re = x.extract(comptime!(2 * pair));
            let im = x.extract(comptime!(2 * pair + 1));
            y.insert(comptime!(2 * pair), re * cos - im * sin);
            y.insert(comptime!(2 * pair + 1), re * sin + im * cos);
        }
    }
    y
}

/// The key position of a query: see [`Window`](crate::Window).
#[cube]
pub(super) fn position(row: usize, sizes: &Sizes) -> usize {
    let lk = sizes.lk as usize;
    let lq = sizes.lq as usize;
    min(max(row + lk, lq) - lq, lk - 1)
}

/// Whether the window shows `key` to query `row`.
#[cube]
pub(super) fn sees(row: usize, key: usize, sizes: &Sizes) -> bool {
    let size = sizes.size as usize;
    let at = position(row, sizes);
    key < sizes.sink as usize || (key < at + size && at < key + size)
}

/// Whether the window shows any of `keys` keys from `key` on to `tile` queries; always, without a window.
#[cube]
pub(super) fn reaches(
    row: usize,
    #[comptime] tile: usize,
    key: usize,
    #[comptime] keys: usize,
    sizes: &Sizes,
    #[comptime] form: Form,
) -> bool {
    let mut reached = true;
    if comptime!(form.window) {
        let size = sizes.size as usize;
        let first = position(row, sizes);
        let last = position(row + tile - 1, sizes);
        reached = key < sizes.sink as usize || (key < last + size && first < key + keys - 1 + size);
    }
    reached
}
