//! A few rows of activations: each row of the weight is read once and multiplied where it is.

#![allow(
    clippy::needless_range_loop,
    reason = "accumulators stay in registers only when indexed by constants"
)]

use std::ops::Range;

use pulp::Simd;

use super::{Problem, Weight};
use crate::{
    host::on_all_threads,
    tile::{Buffer, TileWork, on_tiles},
};

/// Columns of the weight in f32 at a time: a small part of a first-level cache.
const COLUMNS: usize = 512;

/// Rows of the weight to a task.
const ROWS: usize = 64;

/// Rows of activations that share a row of the weight in registers.
const TOGETHER: usize = 4;

/// Floats that the sums take in at a time, with the widest vectors and the most sums.
const STEP: usize = 16 * 4;

/// Writes all of the result.
pub fn multiply(problem: &Problem<'_, impl Weight>) {
    let k = problem.k.next_multiple_of(STEP);
    let together = if problem.m == 1 { 1 } else { TOGETHER };
    // Filled up with zeros, to whole steps and whole groups of rows.
    let mut x = Buffer::zeros(problem.m.next_multiple_of(together) * k);
    for (to, row) in x.as_mut_slice().chunks_exact_mut(k).zip(problem.x.chunks_exact(problem.k.max(1))) {
        to[..row.len()].copy_from_slice(row);
    }
    on_all_threads(
        problem.n.div_ceil(ROWS),
        || Buffer::zeros(COLUMNS),
        |weight, number| {
            let outputs = number * ROWS..((number + 1) * ROWS).min(problem.n);
            on_tiles(Task { problem, x: x.as_slice(), weight: weight.as_mut_slice(), outputs });
        },
    );
}

/// Some columns of the result.
struct Task<'a, W> {
    problem: &'a Problem<'a, W>,
    x: &'a [f32],
    /// Of some columns of one row.
    weight: &'a mut [f32],
    outputs: Range<usize>,
}

impl<W: Weight> TileWork for Task<'_, W> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, const MR: usize, const NV: usize>(mut self, simd: S) {
        for output in self.outputs.clone() {
            let mut sums = [0.0; super::DOT_ROWS];
            for start in (0..self.problem.k).step_by(COLUMNS) {
                let columns = start..(start + COLUMNS).min(self.problem.k);
                let len = self.write(output, columns);
                self.add(simd, start, len, &mut sums);
            }
            for (row, sum) in sums[..self.problem.m].iter_mut().enumerate() {
                self.problem.finish.apply(output..output + 1, std::slice::from_mut(sum));
                // SAFETY: the columns of a task are its own.
                unsafe { self.problem.out.write(row * self.problem.n + output, &[*sum]) };
            }
        }
    }
}

impl<W: Weight> Task<'_, W> {
    /// Columns `columns` of row `output` of the weight, and zeros up to a whole step; how many these are.
    #[inline(always)]
    fn write(&mut self, output: usize, columns: Range<usize>) -> usize {
        let (values, rest) = self.weight.split_at_mut(columns.len());
        self.problem.weight.write(output, columns, values);
        let len = values.len().next_multiple_of(STEP);
        rest[..len - values.len()].fill(0.0);
        len
    }

    /// Adds the products of the `len` columns from `start` on.
    #[inline(always)]
    fn add<S: Simd>(&self, simd: S, start: usize, len: usize, sums: &mut [f32]) {
        let k = self.problem.k.next_multiple_of(STEP);
        let weight = S::as_simd_f32s(&self.weight[..len]).0;
        let row = |row: usize| S::as_simd_f32s(&self.x[row * k + start..][..len]).0;
        if self.problem.m == 1 {
            sums[0] += dots::<S, 1, 4>(simd, weight, [row(0)])[0];
            return;
        }
        for first in (0..self.problem.m).step_by(TOGETHER) {
            let rows = [row(first), row(first + 1), row(first + 2), row(first + 3)];
            let more = dots::<S, TOGETHER, 2>(simd, weight, rows);
            sums[first..].iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        }
    }
}

/// The sums of products of `weight` with each of `rows`, in `CHAINS` parts each: additions wait for each other.
#[inline(always)]
fn dots<S: Simd, const R: usize, const CHAINS: usize>(
    simd: S,
    weight: &[S::f32s],
    rows: [&[S::f32s]; R],
) -> [f32; R] {
    let mut acc = [[simd.splat_f32s(0.0); CHAINS]; R];
    let rows = rows.map(|row| &row[..weight.len()]);
    for at in (0..weight.len() / CHAINS).map(|step| step * CHAINS) {
        for c in 0..CHAINS {
            for r in 0..R {
                acc[r][c] = simd.mul_add_e_f32s(weight[at + c], rows[r][at + c], acc[r][c]);
            }
        }
    }
    acc.map(|chains| chains.into_iter().map(|sum| simd.reduce_sum_f32s(sum)).sum())
}
