//! The products of gathered patches: any kernel, stride and padding.
//!
//! A thread gathers some hundred taps of a block of pixels at a time and multiplies them while they are in its cache;
//! the patches of a whole frame never exist.

use std::{array, mem::MaybeUninit, ops::Range};

use pulp::Simd;
use rayon::prelude::*;

use super::{
    problem::Problem,
    share::{Cut, Run, runs},
};
use crate::{
    host::{Output, on_all_threads},
    tile::{Buffer, TileShape, TileWork, accumulate, on_tiles},
};

/// Taps gathered at a time: a panel of them is half of a first-level cache.
const TAPS: usize = 256;

/// Panels of pixels in one block at most.
const MOST_PANELS: usize = 8;

/// Rows multiplied with a panel before the next: their weights of one step stay in the second-level cache.
const STEP_ROWS: usize = 96;

/// Writes all of the result.
pub fn convolve(problem: &Problem<'_>, out: &mut [MaybeUninit<f32>]) {
    let flat = Problem { shape: problem.shape.flattened(), ..*problem };
    let (shape, tile) = (flat.shape, TileShape::of_this_machine());
    let weights = by_time(&flat, tile.rows);
    let times = shape.batch * shape.out[0];
    let panels = shape.pixels().div_ceil(tile.columns);
    let cut = Cut::new(panels, MOST_PANELS, shape.outputs.div_ceil(tile.rows), times);
    let out = Output::new(out);
    let scratch = || Scratch {
        runs: Vec::new(),
        patches: Buffer::zeros(cut.most_panels() * TAPS * tile.columns),
        sums: Buffer::zeros(cut.most_panels() * shape.outputs.next_multiple_of(tile.rows) * tile.columns),
    };
    on_all_threads(times * cut.pieces(), scratch, |scratch, n| {
        let (panels, groups) = cut.piece(n % cut.pieces());
        let (batch, t) = (n / cut.pieces() / shape.out[0], n / cut.pieces() % shape.out[0]);
        on_tiles(Task { problem: &flat, weights: &weights, out: &out, scratch, batch, t, panels, groups });
    });
}

/// The weights as `[c_out, k_t, c_in * k_h * k_w]`, filled up to whole groups of `rows`.
fn by_time(problem: &Problem<'_>, rows: usize) -> Buffer {
    let [frames, height, width] = problem.shape.kernel;
    let (inputs, plane) = (problem.shape.inputs, height * width);
    let row_len = inputs * frames * plane;
    let mut weights = Buffer::zeros(problem.shape.outputs.next_multiple_of(rows) * row_len);
    let to = weights.as_mut_slice().par_chunks_exact_mut(row_len.max(1));
    to.zip(problem.weight.par_chunks_exact(row_len.max(1))).for_each(|(to, row)| {
        for (tap, to) in to.chunks_exact_mut(inputs * plane).enumerate() {
            for (to, channel) in to.chunks_exact_mut(plane).zip(row.chunks_exact(frames * plane)) {
                to.copy_from_slice(&channel[tap * plane..][..plane]);
            }
        }
    });
    weights
}

/// What a thread needs besides the arguments and the weights.
struct Scratch {
    /// Of the block's pixels, panel by panel.
    runs: Vec<(usize, Run)>,
    /// `[panels, taps, pixels]`
    patches: Buffer,
    /// `[panels, c_out, pixels]`
    sums: Buffer,
}

/// Some pixels of one frame, for some groups of output channels.
struct Task<'a> {
    problem: &'a Problem<'a>,
    weights: &'a Buffer,
    out: &'a Output<'a>,
    scratch: &'a mut Scratch,
    batch: usize,
    t: usize,
    panels: Range<usize>,
    groups: Range<usize>,
}

impl TileWork for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, const MR: usize, const NV: usize>(mut self, simd: S) {
        let (shape, columns) = (&self.problem.shape, NV * S::F32_LANES);
        let per_frame = shape.inputs * shape.kernel[1] * shape.kernel[2];
        let taps = shape.taps(self.t);
        let taps = taps.start * per_frame..taps.end * per_frame;
        self.scratch.runs.clear();
        for (n, panel) in self.panels.clone().enumerate() {
            let pixels = self.pixels(panel, columns);
            self.scratch.runs.extend(runs(pixels, shape.out[2]).map(|run| (n, run)));
        }
        let sums = self.panels.len() * self.groups.len() * MR * columns;
        self.scratch.sums.as_mut_slice()[..sums].fill(0.0);
        for first in taps.clone().step_by(TAPS) {
            let step = first..(first + TAPS).min(taps.end);
            self.gather(step.clone(), columns);
            self.multiply::<S, MR, NV>(simd, step);
        }
        self.store(MR, columns);
    }
}

impl Task<'_> {
    fn pixels(&self, panel: usize, columns: usize) -> Range<usize> {
        panel * columns..((panel + 1) * columns).min(self.problem.shape.pixels())
    }

    /// The inputs under `taps`, for every pixel of the block.
    #[inline(always)]
    fn gather(&mut self, taps: Range<usize>, columns: usize) {
        let shape = &self.problem.shape;
        let [_, height, width] = shape.size;
        let [_, k_h, k_w] = shape.kernel;
        let Scratch { runs, patches, .. } = &mut *self.scratch;
        let patches = patches.as_mut_slice();
        for (n, tap) in taps.clone().enumerate() {
            let (y, x) = (tap / k_w % k_h, tap % k_w);
            let (channel, frame) = (tap / (k_w * k_h) % shape.inputs, tap / (k_w * k_h * shape.inputs));
            let plane = self.problem.plane(self.batch, channel, shape.frame(self.t, frame)).f32();
            for &(panel, run) in runs.iter() {
                let y = (run.row * shape.stride[1] + y) as isize - shape.before[1] as isize;
                let left = (run.column * shape.stride[2] + x) as isize - shape.before[2] as isize;
                let to = &mut patches[(panel * TAPS + n) * columns + run.at..][..run.len];
                match (0..height as isize).contains(&y) {
                    true => copy_steps(&plane[y as usize * width..][..width], left, shape.stride[2], to),
                    false => to.fill(0.0),
                }
            }
        }
    }

    /// Adds the products of `taps` to the sums.
    #[inline(always)]
    fn multiply<S: Simd, const MR: usize, const NV: usize>(&mut self, simd: S, taps: Range<usize>) {
        let columns = NV * S::F32_LANES;
        let row_len = self.problem.weight.len() / self.problem.shape.outputs;
        let (weights, Scratch { patches, sums, .. }) = (self.weights.as_slice(), &mut *self.scratch);
        let (patches, sums) = (patches.as_slice(), sums.as_mut_slice());
        for first in self.groups.clone().step_by(STEP_ROWS / MR) {
            for panel in 0..self.panels.len() {
                let b = S::as_simd_f32s(&patches[panel * TAPS * columns..][..taps.len() * columns]).0;
                for group in first..(first + STEP_ROWS / MR).min(self.groups.end) {
                    let row = |i: usize| &weights[(group * MR + i) * row_len + taps.start..][..taps.len()];
                    let a: [&[f32]; MR] = array::from_fn(row);
                    let at = (panel * self.groups.len() + group - self.groups.start) * MR * columns;
                    let sums = S::as_mut_simd_f32s(&mut sums[at..][..MR * columns]).0;
                    let mut acc = [[simd.splat_f32s(0.0); NV]; MR];
                    for i in 0..MR {
                        for j in 0..NV {
                            acc[i][j] = sums[i * NV + j];
                        }
                    }
                    for (sums, acc) in sums.chunks_exact_mut(NV).zip(accumulate(simd, a, b, acc)) {
                        sums.copy_from_slice(&acc);
                    }
                }
            }
        }
    }

    /// Adds the bias and writes the pixels.
    #[inline(always)]
    fn store(&mut self, rows: usize, columns: usize) {
        let outputs = self.groups.start * rows..(self.groups.end * rows).min(self.problem.shape.outputs);
        for (n, panel) in self.panels.clone().enumerate() {
            let pixels = self.pixels(panel, columns);
            let sums = self.scratch.sums.as_mut_slice();
            let panel_sums = &mut sums[n * self.groups.len() * rows * columns..];
            for (channel, sums) in outputs.clone().zip(panel_sums.chunks_exact_mut(columns)) {
                let bias = self.problem.bias(channel);
                sums.iter_mut().for_each(|sum| *sum += bias);
                let at = self.problem.position(self.batch, channel, self.t, pixels.start);
                // SAFETY: the pixels and channels of a task are its own.
                unsafe { self.out.write(at, &sums[..pixels.len()]) };
            }
        }
    }
}

/// Every `step`th element of `row` from column `left` on, with zeros where it has none.
#[inline(always)]
fn copy_steps(row: &[f32], left: isize, step: usize, to: &mut [f32]) {
    // The first index whose column is at least `column`.
    let index = |column: isize| {
        let distance = (column - left).max(0) as usize;
        (if step == 1 { distance } else { distance.div_ceil(step) }).min(to.len())
    };
    let (start, end) = (index(0), index(row.len() as isize));
    to[..start].fill(0.0);
    to[end..].fill(0.0);
    if start < end {
        let row = &row[(left + (start * step) as isize) as usize..];
        match step {
            1 => to[start..end].copy_from_slice(&row[..end - start]),
            _ => to[start..end].iter_mut().zip(row.iter().step_by(step)).for_each(|(to, &x)| *to = x),
        }
    }
}
