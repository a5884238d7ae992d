//! Many rows of activations: tiles of the weight in the second-level cache.

#![allow(
    clippy::needless_range_loop,
    reason = "accumulators stay in registers only when indexed by constants"
)]

use std::{array, ops::Range};

use pulp::Simd;
use rayon::prelude::*;

use super::Problem;
use crate::{
    host::on_all_threads,
    tile::{Buffer, TileShape, TileWork, accumulate, on_tiles},
};

/// Columns of the weight in f32 at a time: a panel of activations of as many is half of a first-level cache.
const COLUMNS: usize = 256;

/// Rows of the weight in f32 at a time: with all sums of their results, half of a small second-level cache.
/// A multiple of every register tile's rows.
const ROWS: usize = 96;

/// Rows of activations that are multiplied at a time; for more the weight is dequantized again.
const BATCH: usize = 512;

/// Writes all of the result.
pub fn multiply(problem: &Problem<'_>) {
    let tile = TileShape::of_this_machine();
    let k = problem.weight.k;
    let most = problem.m.min(BATCH).next_multiple_of(tile.columns);
    // `[panels, k, rows of x]`
    let mut packed = Buffer::zeros(most * k);
    for first in (0..problem.m).step_by(BATCH) {
        let batch = first..(first + BATCH).min(problem.m);
        pack(&problem.x[batch.start * k..batch.end * k], k, tile.columns, packed.as_mut_slice());
        let scratch = || Scratch { weight: Buffer::zeros(ROWS * COLUMNS), sums: Buffer::zeros(ROWS * most) };
        on_all_threads(problem.n.div_ceil(ROWS), scratch, |scratch, number| {
            let outputs = number * ROWS..((number + 1) * ROWS).min(problem.n);
            on_tiles(Task { problem, packed: packed.as_slice(), scratch, batch: batch.clone(), outputs });
        });
    }
}

/// Transposes rows of `x` into panels of `width`, zero beyond the last row.
fn pack(x: &[f32], k: usize, width: usize, packed: &mut [f32]) {
    let panels = packed.par_chunks_exact_mut(k * width).zip(x.par_chunks(k * width));
    panels.for_each(|(panel, x)| {
        if x.len() < panel.len() {
            panel.fill(0.0);
        }
        for (r, row) in x.chunks_exact(k).enumerate() {
            let column = panel.iter_mut().skip(r).step_by(width);
            column.zip(row).for_each(|(to, &value)| *to = value);
        }
    });
}

/// What a thread needs besides the arguments.
struct Scratch {
    /// `[rows, columns]`
    weight: Buffer,
    /// `[panels, groups of rows, rows, rows of x]`
    sums: Buffer,
}

/// Some columns of the result for a batch of its rows.
struct Task<'a> {
    problem: &'a Problem<'a>,
    packed: &'a [f32],
    scratch: &'a mut Scratch,
    batch: Range<usize>,
    outputs: Range<usize>,
}

impl TileWork for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, const MR: usize, const NV: usize>(mut self, simd: S) {
        let k = self.problem.weight.k;
        for start in (0..k).step_by(COLUMNS) {
            let columns = start..(start + COLUMNS).min(k);
            self.dequantize(&columns);
            self.accumulate::<S, MR, NV>(simd, &columns);
        }
        self.store(MR, NV * S::F32_LANES);
    }
}

impl Task<'_> {
    #[inline(always)]
    fn dequantize(&mut self, columns: &Range<usize>) {
        let to = self.scratch.weight.as_mut_slice().chunks_exact_mut(columns.len());
        for (row, to) in self.outputs.clone().zip(to) {
            self.problem.weight.dequantize(row, columns.clone(), to);
        }
    }

    /// Adds the products of `columns` to the sums.
    #[inline(always)]
    fn accumulate<S: Simd, const MR: usize, const NV: usize>(&mut self, simd: S, columns: &Range<usize>) {
        let (k, width, len) = (self.problem.weight.k, NV * S::F32_LANES, columns.len());
        let groups = self.outputs.len().div_ceil(MR);
        let Scratch { weight, sums } = &mut *self.scratch;
        let weight = weight.as_slice();
        let panels = sums.as_mut_slice().chunks_exact_mut(groups * MR * width);
        for (panel, sums) in panels.take(self.batch.len().div_ceil(width)).enumerate() {
            let x = &self.packed[panel * k * width + columns.start * width..][..len * width];
            let x = S::as_simd_f32s(x).0;
            for (group, sums) in sums.chunks_exact_mut(MR * width).enumerate() {
                let a: [&[f32]; MR] = array::from_fn(|i| &weight[(group * MR + i) * len..][..len]);
                let sums = S::as_mut_simd_f32s(sums).0;
                let mut acc = [[simd.splat_f32s(0.0); NV]; MR];
                if columns.start > 0 {
                    for i in 0..MR {
                        for j in 0..NV {
                            acc[i][j] = sums[i * NV + j];
                        }
                    }
                }
                for (sums, acc) in sums.chunks_exact_mut(NV).zip(accumulate(simd, a, x, acc)) {
                    sums.copy_from_slice(&acc);
                }
            }
        }
    }

    /// Writes the results, row of `x` by row.
    #[inline(always)]
    fn store(&mut self, tile_rows: usize, width: usize) {
        let padded = self.outputs.len().next_multiple_of(tile_rows);
        let sums = self.scratch.sums.as_slice();
        let mut line = [0.0; ROWS];
        let line = &mut line[..self.outputs.len()];
        for (at, row) in self.batch.clone().enumerate() {
            let panel = &sums[at / width * padded * width + at % width..];
            for (to, sum) in line.iter_mut().zip(panel.iter().step_by(width)) {
                *to = *sum;
            }
            // SAFETY: the columns of a task are its own.
            unsafe { self.problem.out.write(row * self.problem.n + self.outputs.start, line) };
        }
    }
}
