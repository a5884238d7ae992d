//! The transformed filters.

use std::ops::Range;

use pulp::Simd;
use rayon::prelude::*;

use crate::{
    conv3d::cpu::{
        problem::Problem,
        transform::{POINTS, filter},
    },
    tile::{Buffer, TileWork, on_tiles},
};

/// A cache line between one point and the next, so that points do not compete for one cache set.
const GAP: usize = 16;

/// `[groups, points, rows, k_t * c_in]`: for each point, the rows of a register tile lie side by side.
pub struct Filters {
    values: Buffer,
    /// The groups that are held.
    groups: Range<usize>,
    /// Output channels of a group; those there are not stay zeros.
    rows: usize,
    /// Of a row.
    len: usize,
}

impl Filters {
    /// Room for `groups` groups of `rows` output channels.
    pub fn new(problem: &Problem<'_>, groups: usize, rows: usize) -> Self {
        let len = problem.shape.kernel[0] * problem.shape.inputs;
        Self { values: Buffer::zeros(groups * POINTS * (rows * len + GAP)), groups: 0..0, rows, len }
    }

    /// Bytes of a group: for 3x3, four times what its filters take.
    pub fn group_bytes(problem: &Problem<'_>, rows: usize) -> usize {
        POINTS * (rows * problem.shape.kernel[0] * problem.shape.inputs + GAP) * size_of::<f32>()
    }

    /// Transforms the filters of `groups`, in the place of those before.
    pub fn load(&mut self, problem: &Problem<'_>, groups: Range<usize>) {
        let (first, len, group_len) = (groups.start, self.len, POINTS * (self.rows * self.len + GAP));
        let chunks = self.values.as_mut_slice().par_chunks_exact_mut(group_len);
        chunks.take(groups.len()).enumerate().for_each(|(n, out)| {
            on_tiles(Group { problem, group: first + n, len, out });
        });
        self.groups = groups;
    }

    /// `[rows, k_t * c_in]`
    #[inline(always)]
    pub fn point(&self, group: usize, point: usize) -> &[f32] {
        let len = self.rows * self.len;
        &self.values.as_slice()[((group - self.groups.start) * POINTS + point) * (len + GAP)..][..len]
    }

    #[inline(always)]
    pub fn row_len(&self) -> usize {
        self.len
    }
}

/// One group's filters.
struct Group<'a> {
    problem: &'a Problem<'a>,
    group: usize,
    /// Of a row.
    len: usize,
    /// `[points, rows, k_t * c_in]`
    out: &'a mut [f32],
}

impl TileWork for Group<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, const MR: usize, const NV: usize>(self, simd: S) {
        let shape = &self.problem.shape;
        let padded = shape.inputs.next_multiple_of(S::F32_LANES);
        let mut taps = Buffer::zeros(9 * padded);
        let first = self.group * MR;
        for row in 0..MR.min(shape.outputs - first) {
            for tap in 0..shape.kernel[0] {
                gather(self.problem, first + row, tap, taps.as_mut_slice(), padded);
                for channel in (0..shape.inputs).step_by(S::F32_LANES) {
                    let at = row * self.len + tap * shape.inputs + channel;
                    let len = S::F32_LANES.min(shape.inputs - channel);
                    let points = points(simd, taps.as_slice(), padded, channel);
                    for (point, value) in points.into_iter().flatten().enumerate() {
                        let to = &mut self.out[point * (MR * self.len + GAP) + at..][..len];
                        // Partial stores cost some twenty whole ones on some processors.
                        match S::as_mut_simd_f32s(to) {
                            ([to], []) => *to = value,
                            (_, to) => simd.partial_store_f32s(to, value),
                        }
                    }
                }
            }
        }
    }
}

/// The nine coefficients of a filter, each for all input channels: `[9, padded c_in]`.
#[inline(always)]
fn gather(problem: &Problem<'_>, output: usize, tap: usize, taps: &mut [f32], padded: usize) {
    let (inputs, frames) = (problem.shape.inputs, problem.shape.kernel[0]);
    let all = &problem.weight[output * inputs * frames * 9..][..inputs * frames * 9];
    for (channel, filter) in all.chunks_exact(frames * 9).enumerate() {
        for (k, &value) in filter[tap * 9..][..9].iter().enumerate() {
            taps[k * padded + channel] = value;
        }
    }
}

/// Filters of several channels at all points.
#[inline(always)]
fn points<S: Simd>(simd: S, taps: &[f32], padded: usize, channel: usize) -> [[S::f32s; 6]; 6] {
    let mut rows = [[simd.splat_f32s(0.0); 3]; 6];
    for x in 0..3 {
        let mut column = [simd.splat_f32s(0.0); 3];
        for y in 0..3 {
            column[y] = S::as_simd_f32s(&taps[(3 * y + x) * padded + channel..]).0[0];
        }
        let column = filter(simd, column);
        for y in 0..6 {
            rows[y][x] = column[y];
        }
    }
    let mut points = [[simd.splat_f32s(0.0); 6]; 6];
    for y in 0..6 {
        points[y] = filter(simd, rows[y]);
    }
    points
}
