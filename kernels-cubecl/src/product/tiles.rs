//! Many rows of activations: tiles of the weight in the second-level cache.

#![allow(
    clippy::needless_range_loop,
    reason = "accumulators stay in registers only when indexed by constants"
)]

use std::{array, ops::Range};

use pulp::Simd;
use rayon::prelude::*;

use super::{Problem, Weight, transpose::transpose};
use crate::{
    host::{Wide, on_all_threads, wide},
    tile::{Buffer, TileShape, TileWork, accumulate, on_tiles},
};

/// Columns of the weight at a time. A panel of activations of as many fills a first-level cache, or with the widest
/// vectors one and a half: sums are fetched and stored less often than with fewer columns, which weighs more.
const COLUMNS: usize = 384;

/// Rows of the weight at a time: with all sums of their results, a third of a second-level cache. A multiple of every
/// register tile's rows.
const ROWS: usize = 96;

/// Rows of activations that are multiplied at a time; for more the weight is read again.
const BATCH: usize = 512;

/// Packed activations held at a time, unless one batch alone takes more. Threads wait for one another after each time.
/// Below 32 MiB glibc hands out memory that was used before, while every page of larger blocks is cleared anew.
const PACKED_BYTES: usize = 31 << 20;

/// Tasks to a thread at least, where rows of the weight are enough for that: the last ones end together.
const TASKS: usize = 4;

/// Rows of a result that are put together before they are written.
const LINES: usize = 4;

/// Columns that are packed at a time, so that what they become stays in cache.
const PACKED: usize = 128;

/// Rows of a batch of `m` rows of `k` values, and batches that are packed at a time.
fn batches(m: usize, k: usize, tile: TileShape) -> [usize; 2] {
    let batch = m.div_ceil(m.div_ceil(BATCH)).next_multiple_of(tile.columns);
    [batch, (PACKED_BYTES / size_of::<f32>() / (batch * k).max(1)).clamp(1, m.div_ceil(batch))]
}

/// Of the packed activations, at least one row of them.
pub fn packed_bytes(m: usize, k: usize) -> usize {
    batches(m, k, TileShape::of_this_machine()).into_iter().product::<usize>() * k * size_of::<f32>()
}

/// Writes all of the result.
pub fn multiply(problem: &Problem<'_, impl Weight>) {
    let tile = TileShape::of_this_machine();
    let (m, n, k) = (problem.m, problem.n, problem.k);
    let [batch, batches] = batches(m, k, tile);
    let rows = n.div_ceil(TASKS * rayon::current_num_threads()).next_multiple_of(tile.rows).min(ROWS);
    // `[batches, panels, k, rows of x]`
    let mut packed = Buffer::zeros(batches * batch * k);
    for first in (0..m).step_by(batches * batch) {
        let lines = first..(first + batches * batch).min(m);
        pack(&problem.x[lines.start * k..lines.end * k], k, tile.columns, packed.as_mut_slice());
        let scratch = || Scratch {
            weight: Buffer::zeros(rows * COLUMNS),
            sums: Buffer::zeros(rows * batch),
            lines: [const { [0.0; ROWS] }; LINES],
        };
        let parts = n.div_ceil(rows);
        on_all_threads(lines.len().div_ceil(batch) * parts, scratch, |scratch, number| {
            let (at, part) = (number / parts * batch, number % parts);
            let outputs = part * rows..((part + 1) * rows).min(n);
            let batch = lines.start + at..(lines.start + at + batch).min(lines.end);
            on_tiles(Task { problem, packed: &packed.as_slice()[at * k..], scratch, batch, outputs });
        });
    }
}

/// Transposes rows of `x` into panels of `width`, zero beyond the last row.
fn pack(x: &[f32], k: usize, width: usize, packed: &mut [f32]) {
    let panels = packed.par_chunks_exact_mut((k * width).max(1)).zip(x.par_chunks((k * width).max(1)));
    panels.for_each(|(panel, x)| wide(Panel { x, k, width, panel }));
}

struct Panel<'a> {
    x: &'a [f32],
    k: usize,
    width: usize,
    panel: &'a mut [f32],
}

impl Wide for Panel<'_> {
    #[inline(always)]
    fn run(self) {
        let Self { x, k, width, panel } = self;
        let rows = x.len() / k;
        if rows < width {
            panel.fill(0.0);
        }
        for column in (0..k).step_by(PACKED) {
            let columns = PACKED.min(k - column);
            transpose(&x[column..], k, [rows, columns], &mut panel[column * width..], width);
        }
    }
}

/// What a thread needs besides the arguments.
struct Scratch {
    /// `[rows, columns]` of a weight that does not lie in f32.
    weight: Buffer,
    /// `[panels, groups of rows, rows, rows of x]`
    sums: Buffer,
    /// Some rows of the result.
    lines: [[f32; ROWS]; LINES],
}

/// Some columns of the result for a batch of its rows.
struct Task<'a, W> {
    problem: &'a Problem<'a, W>,
    packed: &'a [f32],
    scratch: &'a mut Scratch,
    batch: Range<usize>,
    outputs: Range<usize>,
}

impl<W: Weight> TileWork for Task<'_, W> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, const MR: usize, const NV: usize>(mut self, simd: S) {
        let k = self.problem.k;
        if k == 0 {
            self.scratch.sums.as_mut_slice().fill(0.0);
        }
        for start in (0..k).step_by(COLUMNS) {
            let columns = start..(start + COLUMNS).min(k);
            self.fetch(&columns);
            self.accumulate::<S, MR, NV>(simd, &columns);
        }
        self.store(MR, NV * S::F32_LANES);
    }
}

impl<W: Weight> Task<'_, W> {
    /// Makes f32 of `columns` of the weight, unless they are that.
    #[inline(always)]
    fn fetch(&mut self, columns: &Range<usize>) {
        if self.problem.weight.lying(self.outputs.start, columns.clone()).is_some() {
            return;
        }
        let to = self.scratch.weight.as_mut_slice().chunks_exact_mut(columns.len());
        for (row, to) in self.outputs.clone().zip(to) {
            self.problem.weight.write(row, columns.clone(), to);
        }
    }

    /// Adds the products of `columns` to the sums.
    #[inline(always)]
    fn accumulate<S: Simd, const MR: usize, const NV: usize>(&mut self, simd: S, columns: &Range<usize>) {
        let (k, width, len) = (self.problem.k, NV * S::F32_LANES, columns.len());
        let groups = self.outputs.len().div_ceil(MR);
        let Scratch { weight, sums, .. } = &mut *self.scratch;
        let (weight, outputs) = (weight.as_slice(), &self.outputs);
        let panels = sums.as_mut_slice().chunks_exact_mut(groups * MR * width);
        for (panel, sums) in panels.take(self.batch.len().div_ceil(width)).enumerate() {
            let x = &self.packed[panel * k * width + columns.start * width..][..len * width];
            let x = S::as_simd_f32s(x).0;
            for (group, sums) in sums.chunks_exact_mut(MR * width).enumerate() {
                let a: [&[f32]; MR] = array::from_fn(|i| {
                    // The last row once more beyond it.
                    let row = (group * MR + i).min(outputs.len() - 1);
                    let lying = self.problem.weight.lying(outputs.start + row, columns.clone());
                    lying.unwrap_or_else(|| &weight[row * len..][..len])
                });
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

    /// Finishes the results and writes them, some rows of `x` at a time.
    #[inline(always)]
    fn store(&mut self, tile_rows: usize, width: usize) {
        let (columns, padded) = (self.outputs.len(), self.outputs.len().next_multiple_of(tile_rows));
        let (sums, lines) = (self.scratch.sums.as_slice(), &mut self.scratch.lines);
        for first in (0..self.batch.len()).step_by(LINES) {
            let rows = LINES.min(self.batch.len() - first);
            let panel = &sums[first / width * padded * width + first % width..];
            transpose(panel, width, [columns, rows], lines.as_flattened_mut(), ROWS);
            for (row, line) in (self.batch.start + first..).zip(&mut lines[..rows]) {
                let line = &mut line[..columns];
                self.problem.finish.apply(self.outputs.clone(), line);
                // SAFETY: the columns of a task are its own.
                unsafe { self.problem.out.write(row * self.problem.n + self.outputs.start, line) };
            }
        }
    }
}
