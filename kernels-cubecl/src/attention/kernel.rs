//! What the two forms of the kernel share: arguments, rotation, windows.

pub mod matrix;
pub mod units;

use cubecl::prelude::*;

use super::window::Window;

/// Queries of a cube.
pub const TILE: usize = 64;

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

#[cube]
impl Strides {
    /// The first vector of a head.
    pub fn start(&self, batch: usize, head: usize) -> usize {
        batch * self.batch as usize + head * self.head as usize
    }
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
}

/// What a kernel is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Form {
    /// Width of a head.
    pub d: usize,
    pub rotate: bool,
    pub window: Option<Window>,
}

/// `x`, channels `at..` of a row, rotated by the position `token` if the form rotates.
#[cube]
pub(super) fn rotated<N: Size>(
    x: Vector<f32, N>,
    cos: &[f32],
    sin: &[f32],
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
            let re = x.extract(comptime!(2 * pair));
            let im = x.extract(comptime!(2 * pair + 1));
            y.insert(comptime!(2 * pair), re * cos[angle] - im * sin[angle]);
            y.insert(comptime!(2 * pair + 1), re * sin[angle] + im * cos[angle]);
        }
    }
    y
}

/// The key position of a query: see [`Window`].
#[cube]
pub(super) fn position(row: usize, lq: usize, lk: usize) -> usize {
    let shifted = row + lk;
    min(max(shifted, lq) - lq, lk - 1)
}

/// [`Window::sees`] on the device.
#[cube]
pub(super) fn sees(row: usize, key: usize, lq: usize, lk: usize, #[comptime] form: Form) -> bool {
    let size = comptime!(extent(form.window).0);
    let sink = comptime!(extent(form.window).1);
    let at = position(row, lq, lk);
    key < sink || (key < at + size && at < key + size)
}

/// [`Window::reaches`] on the device, for a tile of queries and `keys` keys from `key` on; always, without a window.
#[cube]
pub(super) fn reaches(
    row: usize,
    key: usize,
    #[comptime] keys: usize,
    lq: usize,
    lk: usize,
    #[comptime] form: Form,
) -> bool {
    let size = comptime!(extent(form.window).0);
    let sink = comptime!(extent(form.window).1);
    let first = position(row, lq, lk);
    let last = position(row + TILE - 1, lq, lk);
    key < sink || (key < last + size && first < key + keys - 1 + size)
}

/// Reach and sink of a window, small enough that sums of them and a position do not overflow.
fn extent(window: Option<Window>) -> (usize, usize) {
    let most = 1 << 30;
    window.map_or((most, 0), |window| (window.size.clamp(1, most), window.sink.min(most)))
}
