//! Pieces of the operands, from memory through registers to shared memory.

#![allow(clippy::if_same_then_else, reason = "the first of two is decided when a kernel is compiled")]

use cubecl::prelude::*;

use super::{HALVES, Tiles};

/// The rows of an operand that a cube works on.
#[derive(CubeType, Clone, Copy)]
pub(super) struct Piece {
    pub first: usize,
    /// Rows of the operand.
    pub of: usize,
    /// Fours of words of a row.
    pub k: usize,
}

/// Fours of words that a unit moves of a piece of `lines` lines, the last of them perhaps in vain.
pub(super) fn per_unit(lines: usize, tiles: Tiles) -> usize {
    (lines * (tiles.depth / HALVES)).div_ceil(tiles.units())
}

/// The unit's part of piece number `step`; rows beyond the last one are that one again.
#[cube]
pub(super) fn fetch<N: Size>(
    source: &[Vector<u32, N>],
    piece: &Piece,
    step: usize,
    part: &mut Array<Vector<u32, N>>,
    #[comptime] lines: usize,
    #[comptime] tiles: Tiles,
) {
    let width = comptime!(tiles.depth / HALVES);
    #[unroll]
    for i in 0..comptime!(per_unit(lines, tiles)) {
        let item = UNIT_POS as usize + comptime!(i * tiles.units());
        let row = min(piece.first + item / width, piece.of - 1);
        part[i] = source[row * piece.k + step * width + item % width];
    }
}

/// Puts the unit's part where the planes read it.
#[cube]
pub(super) fn put<N: Size>(
    part: &Array<Vector<u32, N>>,
    staged: &mut Shared<[Vector<u32, N>]>,
    #[comptime] lines: usize,
    #[comptime] tiles: Tiles,
) {
    let width = comptime!(tiles.depth / HALVES);
    #[unroll]
    for i in 0..comptime!(per_unit(lines, tiles)) {
        let item = UNIT_POS as usize + comptime!(i * tiles.units());
        let at = item / width * comptime!(tiles.pitch()) + item % width;
        if comptime!((i + 1) * tiles.units() <= lines * (tiles.depth / HALVES)) {
            staged[at] = part[i];
        } else if item < comptime!(lines * (tiles.depth / HALVES)) {
            staged[at] = part[i];
        }
    }
}
