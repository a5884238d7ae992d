//! One thread's work: a block of tiles through all frames, for some output channels.

use std::{array, ops::Range};

use pulp::Simd;

use super::{filters::Filters, grid};
use crate::{
    conv3d::cpu::{
        geometry::Geometry,
        problem::{Pixels, Problem},
        share::{Run, runs},
        transform::{IN, OUT, POINTS, input, output},
    },
    host::Output,
    tile::{Buffer, TileShape, TileWork, accumulate},
};

/// Rows of products made before they are transformed: their filters at one point stay in the second-level cache.
const PRODUCT_ROWS: usize = 48;

/// What a thread needs besides the arguments and the filters.
pub struct Scratch {
    /// The frame in each slot of the ring.
    held: Vec<Option<isize>>,
    /// A ring of transformed frames: `[k_t, points, panels, c_in, tiles]`
    frames: Buffer,
    /// Floats from one point to the next; not a multiple of a page, so that points do not compete for one cache set.
    point_len: usize,
    /// `[panels, rows, points, tiles]`
    products: Buffer,
    /// Six rows of pixels.
    lines: Buffer,
    line_len: usize,
    /// `[points, tiles]`, transformed over the height alone; and the outputs of a panel.
    columns: Buffer,
}

impl Scratch {
    pub fn new(shape: &Geometry, tile: TileShape, panels: usize) -> Self {
        let point_len = panels * shape.inputs * tile.columns + 16;
        let rows = PRODUCT_ROWS.next_multiple_of(tile.rows).min(shape.outputs.next_multiple_of(tile.rows));
        let line_len = (tile.columns * OUT + IN).next_multiple_of(16);
        Self {
            held: vec![None; shape.kernel[0]],
            frames: Buffer::zeros(shape.kernel[0] * POINTS * point_len),
            point_len,
            products: Buffer::zeros(panels * rows * POINTS * tile.columns),
            lines: Buffer::zeros(IN * line_len),
            line_len,
            columns: Buffer::zeros(POINTS * tile.columns),
        }
    }
}

/// Some tiles and groups of output channels of one batch.
pub struct Task<'a> {
    pub problem: &'a Problem<'a>,
    pub filters: &'a Filters,
    pub out: &'a Output<'a>,
    pub scratch: &'a mut Scratch,
    pub batch: usize,
    pub panels: Range<usize>,
    pub groups: Range<usize>,
}

impl TileWork for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, const MR: usize, const NV: usize>(mut self, simd: S) {
        self.scratch.held.fill(None);
        for t in 0..self.problem.shape.out[0] {
            for tap in self.problem.shape.taps(t) {
                self.load::<S, NV>(simd, self.problem.shape.frame(t, tap));
            }
            for first in self.groups.clone().step_by(PRODUCT_ROWS.div_ceil(MR)) {
                let groups = first..(first + PRODUCT_ROWS.div_ceil(MR)).min(self.groups.end);
                self.multiply::<S, MR, NV>(simd, t, groups.clone());
                self.store::<S, MR, NV>(simd, t, groups);
            }
        }
    }
}

impl Task<'_> {
    /// The slot of the ring that `frame` belongs in.
    fn slot(&self, frame: isize) -> usize {
        frame.rem_euclid(self.scratch.held.len() as isize) as usize
    }

    /// The tiles of a panel.
    fn tiles(&self, panel: usize, columns: usize) -> (Range<usize>, usize) {
        let [rows, width] = grid(&self.problem.shape);
        (panel * columns..((panel + 1) * columns).min(rows * width), width)
    }

    /// Transforms a frame, unless the ring holds it.
    #[inline(always)]
    fn load<S: Simd, const NV: usize>(&mut self, simd: S, frame: isize) {
        let (slot, inputs, columns) = (self.slot(frame), self.problem.shape.inputs, NV * S::F32_LANES);
        if self.scratch.held[slot].replace(frame) == Some(frame) {
            return;
        }
        let point_len = self.scratch.point_len;
        for channel in 0..inputs {
            let plane = self.problem.plane(self.batch, channel, frame);
            for (n, panel) in self.panels.clone().enumerate() {
                let (tiles, width) = self.tiles(panel, columns);
                for run in runs(tiles, width) {
                    self.gather::<S>(simd, plane, run, columns);
                }
                let frames = &mut self.scratch.frames.as_mut_slice()[slot * POINTS * point_len..];
                let to = &mut frames[(n * inputs + channel) * columns..];
                transform_rows::<S, NV>(simd, self.scratch.columns.as_slice(), to, point_len);
            }
        }
    }

    /// The inputs of a run of tiles, transformed over the height, to `columns`.
    #[inline(always)]
    fn gather<S: Simd>(&mut self, simd: S, plane: Pixels<'_>, run: Run, columns: usize) {
        let shape = &self.problem.shape;
        let [_, height, width] = shape.size;
        let first = |at: usize, before: usize| (at * OUT) as isize - before as isize;
        let (top, left) = (first(run.row, shape.before[1]), first(run.column, shape.before[2]));
        let Scratch { lines, line_len, columns: to, .. } = &mut *self.scratch;
        let len = run.len * OUT + IN - OUT;
        for (y, line) in lines.as_mut_slice().chunks_exact_mut(*line_len).enumerate() {
            let y = top + y as isize;
            match (0..height as isize).contains(&y) {
                true => copy_padded(
                    plane.part(y as usize * width..(y as usize + 1) * width),
                    left,
                    &mut line[..len],
                ),
                false => line[..len].fill(0.0),
            }
        }
        transform_height(simd, lines.as_mut_slice(), *line_len, len);
        let lines = lines.as_slice().chunks_exact(*line_len);
        for (line, to) in lines.zip(to.as_mut_slice().chunks_exact_mut(IN * columns)) {
            part(line, to, columns, run);
        }
    }

    /// Products of all points, summed over time and channels.
    #[inline(always)]
    fn multiply<S: Simd, const MR: usize, const NV: usize>(
        &mut self,
        simd: S,
        t: usize,
        groups: Range<usize>,
    ) {
        let (shape, columns) = (&self.problem.shape, NV * S::F32_LANES);
        let (inputs, len) = (shape.inputs, self.filters.row_len());
        let point_len = self.scratch.point_len;
        let frames = self.scratch.frames.as_slice();
        let products = self.scratch.products.as_mut_slice();
        for point in 0..POINTS {
            for panel in 0..self.panels.len() {
                for group in groups.clone() {
                    let filters = self.filters.point(group, point);
                    let mut acc = [[simd.splat_f32s(0.0); NV]; MR];
                    for tap in shape.taps(t) {
                        let slot = shape.frame(t, tap).rem_euclid(shape.kernel[0] as isize) as usize;
                        let a: [&[f32]; MR] =
                            array::from_fn(|i| &filters[i * len + tap * inputs..][..inputs]);
                        let at = (slot * POINTS + point) * point_len + panel * inputs * columns;
                        let b = S::as_simd_f32s(&frames[at..][..inputs * columns]).0;
                        acc = accumulate(simd, a, b, acc);
                    }
                    let first = (panel * groups.len() + group - groups.start) * MR;
                    for (i, acc) in acc.iter().enumerate() {
                        let to = &mut products[((first + i) * POINTS + point) * columns..][..columns];
                        S::as_mut_simd_f32s(to).0.copy_from_slice(acc);
                    }
                }
            }
        }
    }

    /// Transforms the products, adds the bias and writes the pixels.
    #[inline(always)]
    fn store<S: Simd, const MR: usize, const NV: usize>(&mut self, simd: S, t: usize, groups: Range<usize>) {
        let columns = NV * S::F32_LANES;
        let outputs = groups.start * MR..(groups.end * MR).min(self.problem.shape.outputs);
        for (n, panel) in self.panels.clone().enumerate() {
            let (tiles, width) = self.tiles(panel, columns);
            for (row, channel) in outputs.clone().enumerate() {
                let at = (n * groups.len() * MR + row) * POINTS * columns;
                let Scratch { products, columns: to, .. } = &mut *self.scratch;
                let products = &products.as_slice()[at..][..POINTS * columns];
                transform_products::<S, NV>(simd, products, self.problem.bias(channel), to.as_mut_slice());
                for run in runs(tiles.clone(), width) {
                    self.write(channel, t, run, columns);
                }
            }
        }
    }

    /// The pixels of a run of tiles.
    #[inline(always)]
    fn write(&mut self, channel: usize, t: usize, run: Run, columns: usize) {
        let [_, height, width] = self.problem.shape.out;
        let Scratch { lines, columns: from, .. } = &mut *self.scratch;
        let line = &mut lines.as_mut_slice()[..run.len * OUT];
        let (top, left) = (run.row * OUT, run.column * OUT);
        let len = line.len().min(width - left);
        let rows = from.as_slice().chunks_exact(OUT * columns).take(OUT.min(height - top));
        for (y, from) in rows.enumerate() {
            interleave(from, columns, run, line);
            let at = self.problem.position(self.batch, channel, t, (top + y) * width + left);
            // SAFETY: the tiles and channels of a task are its own, and a batch's elements are within it.
            unsafe { self.out.write(at, &line[..len]) };
        }
    }
}

/// `row` from column `left` on, with zeros where it has none.
#[inline(always)]
fn copy_padded(row: Pixels<'_>, left: isize, to: &mut [f32]) {
    let start = (-left).clamp(0, to.len() as isize) as usize;
    let end = (row.len() as isize - left).clamp(start as isize, to.len() as isize) as usize;
    to[..start].fill(0.0);
    to[end..].fill(0.0);
    if start < end {
        let first = (start as isize + left) as usize;
        row.part(first..first + end - start).copy_to(&mut to[start..end]);
    }
}

/// Transforms each column of six lines in place.
#[inline(always)]
fn transform_height<S: Simd>(simd: S, lines: &mut [f32], line_len: usize, len: usize) {
    let (vectors, per_line) = (S::as_mut_simd_f32s(lines).0, line_len / S::F32_LANES);
    for at in 0..len.div_ceil(S::F32_LANES) {
        let mut d = [simd.splat_f32s(0.0); IN];
        for y in 0..IN {
            d[y] = vectors[y * per_line + at];
        }
        let d = input(simd, d);
        for y in 0..IN {
            vectors[y * per_line + at] = d[y];
        }
    }
}

/// A line of pixels to the six columns of its tiles.
#[inline(always)]
fn part(line: &[f32], to: &mut [f32], columns: usize, run: Run) {
    let quads = &line.as_chunks::<OUT>().0[..=run.len];
    for (x, to) in to.chunks_exact_mut(columns).enumerate() {
        let to = &mut to[run.at..][..run.len];
        let (skip, x) = (x / OUT, x % OUT);
        for (to, quad) in to.iter_mut().zip(&quads[skip..]) {
            *to = quad[x];
        }
    }
}

/// The four columns of tiles to a line of pixels.
#[inline(always)]
fn interleave(from: &[f32], columns: usize, run: Run, line: &mut [f32]) {
    let column = |x: usize| &from[x * columns + run.at..][..run.len];
    let (a, b, c, d) = (column(0), column(1), column(2), column(3));
    for (n, quad) in line.as_chunks_mut::<OUT>().0.iter_mut().enumerate().take(run.len) {
        *quad = [a[n], b[n], c[n], d[n]];
    }
}

/// The transform over the width of a panel, to all points of one channel.
#[inline(always)]
fn transform_rows<S: Simd, const NV: usize>(simd: S, columns: &[f32], to: &mut [f32], point_len: usize) {
    let from = S::as_simd_f32s(columns).0;
    for y in 0..IN {
        let mut values = [[simd.splat_f32s(0.0); IN]; NV];
        for v in 0..NV {
            let mut d = [simd.splat_f32s(0.0); IN];
            for x in 0..IN {
                d[x] = from[(y * IN + x) * NV + v];
            }
            values[v] = input(simd, d);
        }
        for x in 0..IN {
            let to = S::as_mut_simd_f32s(&mut to[(y * IN + x) * point_len..][..NV * S::F32_LANES]).0;
            for v in 0..NV {
                to[v] = values[v][x];
            }
        }
    }
}

/// The products of one channel to the sixteen outputs of each tile: `[4, 4, tiles]`.
#[inline(always)]
fn transform_products<S: Simd, const NV: usize>(simd: S, products: &[f32], bias: f32, to: &mut [f32]) {
    let (from, to) = (S::as_simd_f32s(products).0, S::as_mut_simd_f32s(to).0);
    let bias = simd.splat_f32s(bias);
    for v in 0..NV {
        let mut rows = [[simd.splat_f32s(0.0); IN]; OUT];
        for x in 0..IN {
            let mut m = [simd.splat_f32s(0.0); IN];
            for y in 0..IN {
                m[y] = from[(y * IN + x) * NV + v];
            }
            let column = output(simd, m);
            for y in 0..OUT {
                rows[y][x] = column[y];
            }
        }
        for y in 0..OUT {
            let row = output(simd, rows[y]);
            for x in 0..OUT {
                to[(y * OUT + x) * NV + v] = simd.add_f32s(row[x], bias);
            }
        }
    }
}
