//! Online-softmax attention over packed keys and values.

#![allow(
    clippy::needless_range_loop,
    reason = "accumulators stay in registers only when indexed by constants"
)]

use std::{array, ops::Range};

use burn::tensor::{Element, ElementConversion};
use pulp::Simd;
use rayon::prelude::*;

use super::{
    Keys,
    pack::{Layout, Rotation, Rows, load_row, pack},
    simd::Softmax,
};
use crate::{
    attention::AttentionShape,
    tile::{Buffer, TileShape, TileWork, accumulate, on_tiles},
};

/// Keys per block: keys and values of 128 channels are 256 KiB, half of a small second-level cache. 128 keys are 3 %
/// slower.
const BLOCK_KEYS: usize = 256;

/// Query rows per task at most; each reads all keys and values once.
const TASK_ROWS: usize = 96;

/// Packed keys and values held at a time, unless one head alone takes more.
const PACKED_BYTES: usize = 16 << 20;

/// One call, shapes checked.
#[derive(Clone, Copy)]
pub struct Problem<'a, E> {
    pub q: Rows<'a, E>,
    pub k: Rows<'a, E>,
    pub v: Rows<'a, E>,
    /// Rotates rows of `q` and `k` by their position.
    pub rotation: Option<Rotation<'a>>,
    pub keys: Keys,
    pub shape: AttentionShape,
}

/// Writes the result as `[b, lq, h, d]`.
pub fn flash<E: Element>(problem: &Problem<'_, E>, out: &mut [E]) {
    let tile = TileShape::of_this_machine();
    let layout = layout(problem.shape.lk, problem.shape.d);
    let rows = task_rows(problem, tile.rows);
    let mut packed = Buffer::zeros(group_len(layout, problem.shape.heads));
    let group = group_len(layout, problem.shape.heads) / layout.head_len();
    let row_len = problem.shape.heads * problem.shape.d;
    for (batch, out) in out.chunks_exact_mut(problem.shape.lq * row_len).enumerate() {
        for first in (0..problem.shape.heads).step_by(group) {
            let heads = first..(first + group).min(problem.shape.heads);
            let at: Vec<_> = heads.clone().map(|head| (batch, head)).collect();
            pack(
                layout,
                [problem.k, problem.v],
                problem.shape.lk,
                problem.rotation,
                &at,
                packed.as_mut_slice(),
            );
            let packed = packed.as_slice();
            // One at a time, so that no thread is left with several at the end.
            out.par_chunks_mut(rows * row_len).enumerate().with_max_len(1).for_each(|(n, out)| {
                let heads = heads.clone();
                on_tiles(Task { problem, layout, packed, batch, heads, first_row: n * rows, out });
            });
        }
    }
}

/// How `lk` keys of `d` channels are packed on this machine.
pub fn layout(lk: usize, d: usize) -> Layout {
    Layout::new(lk, d, TileShape::of_this_machine().columns, BLOCK_KEYS)
}

/// Floats of the heads that are packed at a time.
pub fn group_len(layout: Layout, heads: usize) -> usize {
    (PACKED_BYTES / size_of::<f32>() / layout.head_len()).clamp(1, heads) * layout.head_len()
}

/// Rows per task: whole register tiles, and at least four tasks per thread where that leaves a few tiles each.
fn task_rows<E>(problem: &Problem<'_, E>, tile_rows: usize) -> usize {
    let even = problem.shape.lq.div_ceil(4 * rayon::current_num_threads());
    even.clamp(4 * tile_rows, TASK_ROWS).next_multiple_of(tile_rows)
}

/// Some query rows of one batch against some heads.
struct Task<'a, E> {
    problem: &'a Problem<'a, E>,
    layout: Layout,
    packed: &'a [f32],
    batch: usize,
    heads: Range<usize>,
    first_row: usize,
    /// `[rows, h, d]`
    out: &'a mut [E],
}

impl<E: Element> TileWork for Task<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, const MR: usize, const NV: usize>(self, simd: S) {
        let (problem, layout) = (self.problem, self.layout);
        let row_len = problem.shape.heads * problem.shape.d;
        let rows = self.first_row..self.first_row + self.out.len() / row_len;
        let mut tile = Tile::<E, MR>::new(problem, layout, rows);
        for (head, packed) in self.heads.zip(self.packed.chunks_exact(layout.head_len())) {
            tile.load(self.batch, head);
            for (n, block) in packed.chunks_exact(layout.block_len()).enumerate() {
                let first = n * layout.block;
                tile.attend::<S, NV>(simd, first..(first + layout.block).min(problem.shape.lk), block);
            }
            tile.store(head, self.out);
        }
    }
}

/// The running state of one task's rows for one head.
struct Tile<'a, E, const MR: usize> {
    problem: &'a Problem<'a, E>,
    layout: Layout,
    rows: Range<usize>,
    /// `[groups of MR, d]`, scaled
    q: Buffer,
    /// `[groups of MR, padded d]`, not yet divided by the sums
    o: Buffer,
    /// `[MR, block]`
    scores: Buffer,
    softmax: Vec<Softmax<MR>>,
}

impl<'a, E: Element, const MR: usize> Tile<'a, E, MR> {
    fn new(problem: &'a Problem<'a, E>, layout: Layout, rows: Range<usize>) -> Self {
        let padded = rows.len().next_multiple_of(MR);
        Self {
            problem,
            layout,
            q: Buffer::zeros(padded * layout.d),
            o: Buffer::zeros(padded * layout.padded_d()),
            scores: Buffer::zeros(MR * layout.block),
            softmax: Vec::with_capacity(padded / MR),
            rows,
        }
    }

    fn load(&mut self, batch: usize, head: usize) {
        let d = self.layout.d;
        // Scores in powers of two: exp(x) = 2^(x log2 e).
        let scale = std::f32::consts::LOG2_E / (d as f32).sqrt();
        for (token, y) in self.rows.clone().zip(self.q.as_mut_slice().chunks_exact_mut(d)) {
            load_row(self.problem.rotation, token, self.problem.q.row(batch, head, token), scale, y);
        }
        self.o.as_mut_slice().fill(0.0);
        self.softmax.clear();
        self.softmax.extend((0..self.rows.len().div_ceil(MR)).map(|_| Softmax::START));
    }

    #[inline(always)]
    fn attend<S: Simd, const NV: usize>(&mut self, simd: S, keys: Range<usize>, block: &[f32]) {
        let shape = self.problem.shape;
        if self.problem.keys.window.is_some_and(|w| !w.reaches(&self.rows, &keys, shape.lq, shape.lk)) {
            return;
        }
        let (packed_keys, values) = block.split_at(self.layout.key_len());
        for group in 0..self.softmax.len() {
            self.score::<S, NV>(simd, group, keys.len(), packed_keys);
            self.hide(group, &keys);
            let width = keys.len().next_multiple_of(self.layout.panel);
            let mut chunks = self.scores.as_mut_slice().chunks_exact_mut(self.layout.block);
            let mut rows = array::from_fn(|_| match chunks.next() {
                Some(row) => S::as_mut_simd_f32s(&mut row[..width]).0,
                None => &mut [],
            });
            let factors = self.softmax[group].update(simd, &mut rows);
            self.weigh::<S, NV>(simd, group, keys.len(), values, factors);
        }
    }

    /// Scores of one group of rows against a block of keys.
    #[inline(always)]
    fn score<S: Simd, const NV: usize>(&mut self, simd: S, group: usize, keys: usize, packed: &[f32]) {
        let Layout { panel, block, d, .. } = self.layout;
        let q = &self.q.as_slice()[group * MR * d..][..MR * d];
        let q: [&[f32]; MR] = array::from_fn(|i| &q[i * d..][..d]);
        let scores = &mut self.scores.as_mut_slice()[..MR * block];
        for (n, columns) in packed.chunks_exact(panel * d).take(keys.div_ceil(panel)).enumerate() {
            let zero = [[simd.splat_f32s(0.0); NV]; MR];
            let acc = accumulate(simd, q, S::as_simd_f32s(columns).0, zero);
            for (i, acc) in acc.iter().enumerate() {
                let to = S::as_mut_simd_f32s(&mut scores[i * block + n * panel..][..panel]).0;
                to.copy_from_slice(acc);
            }
        }
    }

    /// Hides the padding of the last panel, and the keys outside each row's window; raises the last key's scores by
    /// how often it counts.
    #[inline(always)]
    fn hide(&mut self, group: usize, keys: &Range<usize>) {
        let (width, Keys { window, times }) =
            (keys.len().next_multiple_of(self.layout.panel), self.problem.keys);
        let raised = times > 1 && keys.end == self.problem.shape.lk;
        if width == keys.len() && window.is_none() && !raised {
            return;
        }
        let first = self.rows.start + group * MR;
        for (row, scores) in
            (first..first + MR).zip(self.scores.as_mut_slice().chunks_exact_mut(self.layout.block))
        {
            scores[keys.len()..width].fill(f32::MIN);
            if raised {
                scores[keys.len() - 1] += (times as f32).log2();
            }
            if let Some(window) = window {
                let (lq, lk) = (self.problem.shape.lq, self.problem.shape.lk);
                let hidden = keys.clone().zip(scores).filter(|(key, _)| !window.sees(row, *key, lq, lk));
                hidden.for_each(|(_, score)| *score = f32::MIN);
            }
        }
    }

    /// Adds the block's values by weight to one group of rows.
    #[inline(always)]
    fn weigh<S: Simd, const NV: usize>(
        &mut self,
        simd: S,
        group: usize,
        keys: usize,
        values: &[f32],
        factors: [f32; MR],
    ) {
        let Layout { panel, block, .. } = self.layout;
        let width = self.layout.padded_d();
        let scores = &self.scores.as_slice()[..MR * block];
        let weights: [&[f32]; MR] = array::from_fn(|i| &scores[i * block..][..keys]);
        let o = &mut self.o.as_mut_slice()[group * MR * width..][..MR * width];
        for (n, columns) in values.chunks_exact(block * panel).enumerate() {
            let at = |i: usize| i * width + n * panel;
            let mut acc = [[simd.splat_f32s(0.0); NV]; MR];
            for i in 0..MR {
                let (o, _) = S::as_simd_f32s(&o[at(i)..][..panel]);
                for j in 0..NV {
                    acc[i][j] = simd.mul_f32s(o[j], simd.splat_f32s(factors[i]));
                }
            }
            let columns = S::as_simd_f32s(&columns[..keys * panel]).0;
            let acc = accumulate(simd, weights, columns, acc);
            for (i, acc) in acc.iter().enumerate() {
                S::as_mut_simd_f32s(&mut o[at(i)..][..panel]).0.copy_from_slice(acc);
            }
        }
    }

    /// Divides by the sums and writes the head's part of `out`: `[rows, h, d]`.
    fn store(&self, head: usize, out: &mut [E]) {
        let d = self.layout.d;
        let o = self.o.as_slice().chunks_exact(self.layout.padded_d());
        let sums = self.softmax.iter().flat_map(|group| group.sum);
        for ((o, sum), out) in o.zip(sums).zip(out.chunks_exact_mut(self.problem.shape.heads * d)) {
            let scale = sum.recip();
            out[head * d..][..d].iter_mut().zip(o).for_each(|(y, &o)| *y = (o * scale).elem());
        }
    }
}
