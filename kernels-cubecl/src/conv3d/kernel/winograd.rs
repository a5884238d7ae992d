//! Winograd's minimal filtering over 2x2 outputs of 3x3 windows: 16 products where the plain sum takes 36.
//!
//! A cube computes 32 channels of 4 x 8 blocks of 2x2 pixels. Each of the 16 points of the transformed domain belongs
//! to 16 units, each of which sums eight channels of eight blocks over the frames of the window and the input channels.
//! A unit thus makes 64 products of every 16 values it reads from shared memory, where direct sums make 288 of 90, and
//! 2.25 times as many in all. Filters are transformed once per call; pixels on their way to shared memory, straight
//! from where the frame lies. At the end the points of a block meet in shared memory. Only barriers of the whole cube
//! are used.

mod filters;

use cubecl::prelude::*;

use super::{Four, Sizes, Strides, Tile};
pub use filters::filters_kernel;

/// Units of a cube.
pub const UNITS: usize = 256;

/// Channels, rows and columns of a cube's tile.
pub const TILE: [usize; 3] = [32, 8, 16];

/// Products of a block.
pub const POINTS: usize = 16;

/// Vectors of four channels, and of four blocks, of a tile.
pub const FOURS: usize = 8;

/// Input channels in shared memory at a time.
const BLOCK: usize = 4;

/// Staged vectors of filters, and of pixels.
const STAGED: usize = BLOCK * POINTS * FOURS;

/// Shared memory of a cube.
pub const SHARED_BYTES: usize = 2 * STAGED * 16;

/// As [`super::conv3d_kernel`], with the filters that [`filters_kernel`] made for the channels from `first_channel` on.
#[cube(launch_unchecked, create_dummy_kernel)]
pub fn winograd_kernel<F: Float>(
    x: &[F],
    history: &[F],
    filters: &[Four],
    bias: &[F],
    out: &mut [F],
    x_strides: Strides,
    history_strides: Strides,
    sizes: Sizes,
    first_channel: u32,
    #[comptime] biased: bool,
    #[define(F)] _dtype: ElemType,
) {
    let item = CUBE_POS + sizes.first as usize;
    if item >= sizes.end as usize {
        terminate!();
    }
    let tile = Tile::new(item, &sizes, comptime!(TILE));
    // Pixels, then filters, each `[input channel][point][block or output channel]`.
    let mut stage = Shared::<[Four]>::new_slice(comptime!(2 * STAGED));
    let mut sums = Array::<Four>::new(16usize);

    let before = sizes.before as usize;
    let inputs = sizes.inputs as usize;
    for tap in 0..sizes.depth as usize {
        let at = tile.frame * sizes.step as usize + tap;
        let present = at >= before && at < before + sizes.frames as usize;
        let past = at < before && at + sizes.past as usize >= before;
        if present || past {
            let line = (tile.channel / comptime!(TILE[0]) * sizes.depth as usize + tap) * inputs;
            for piece in 0..(inputs + BLOCK - 1) / BLOCK {
                let channel = piece * BLOCK;
                sync_cube();
                if present {
                    load_pixels::<F>(x, &x_strides, at - before, channel, &tile, &sizes, &mut stage);
                } else {
                    let frame = at + sizes.past as usize - before;
                    load_pixels::<F>(history, &history_strides, frame, channel, &tile, &sizes, &mut stage);
                }
                load_filters(filters, line + channel, line + inputs, &mut stage);
                sync_cube();
                multiply(&stage, &mut sums);
            }
        }
    }
    #[unroll]
    for round in 0..4usize {
        sync_cube();
        share(&sums, round, &mut stage);
        sync_cube();
        store::<F>(bias, out, &stage, round, first_channel as usize, &tile, &sizes, biased);
    }
}

/// Brings a block of channels of one frame to shared memory, transformed. A unit makes one row of points of four
/// neighbouring blocks, from two rows of ten pixels.
#[cube]
fn load_pixels<F: Float>(
    source: &[F],
    strides: &Strides,
    frame: usize,
    channel: usize,
    tile: &Tile,
    sizes: &Sizes,
    stage: &mut Shared<[Four]>,
) {
    let item = UNIT_POS as usize;
    if item < comptime!(BLOCK * 4 * FOURS) {
        let four = item % FOURS;
        let point_row = item / FOURS % 4;
        let c = item / comptime!(4 * FOURS);
        // The rows of points are the pixels' rows 0 - 2, 1 + 2, 2 - 1 and 1 - 3.
        let top = tile.row + four / 2 * 2;
        let first = top + select(point_row == 3, 1usize, point_row);
        let second = top + select(point_row < 2, 2usize, select(point_row == 2, 1usize, 3usize));
        let sign = select(point_row == 1, 1.0f32, -1.0f32);
        let height = sizes.height as usize;
        let width = sizes.width as usize;
        let above = sizes.above as usize;
        let left = sizes.left as usize;
        let known = channel + c < sizes.inputs as usize;
        let first_inside = known && first >= above && first < above + height;
        let second_inside = known && second >= above && second < above + height;
        let plane = tile.batch * strides.batch as usize
            + frame * strides.frame as usize
            + select(known, channel + c, 0usize) * strides.channel as usize;
        let first_at = plane + select(first_inside, first - above, 0usize) * width;
        let second_at = plane + select(second_inside, second - above, 0usize) * width;
        let column = tile.column + four % 2 * 8;
        let mut line = Array::<f32>::new(10usize);
        #[unroll]
        for j in 0..10usize {
            let x = column + j;
            let inside = x >= left && x < left + width;
            let at = select(inside, x - left, 0usize);
            let upper = select(first_inside && inside, f32::cast_from(source[first_at + at]), 0.0f32);
            let lower = select(second_inside && inside, f32::cast_from(source[second_at + at]), 0.0f32);
            line[j] = upper + sign * lower;
        }
        transform_line(&line, (c * POINTS + point_row * 4) * FOURS + four, stage);
    }
}

/// Brings a row of points of four blocks to shared memory, from `start` on.
#[cube]
fn transform_line(line: &Array<f32>, start: usize, stage: &mut Shared<[Four]>) {
    let mut outer = Four::new(0.0f32);
    let mut plus = Four::new(0.0f32);
    let mut minus = Four::new(0.0f32);
    let mut last = Four::new(0.0f32);
    #[unroll]
    for block in 0..4usize {
        let second = line[comptime!(2 * block + 1)];
        let third = line[comptime!(2 * block + 2)];
        outer.insert(block, line[comptime!(2 * block)] - third);
        plus.insert(block, second + third);
        minus.insert(block, third - second);
        last.insert(block, second - line[comptime!(2 * block + 3)]);
    }
    stage[start] = outer;
    stage[start + FOURS] = plus;
    stage[start + 2 * FOURS] = minus;
    stage[start + 3 * FOURS] = last;
}

/// Brings the filters of a block of channels, from line `first`, to shared memory; zeros from line `end` on.
#[cube]
fn load_filters(filters: &[Four], first: usize, end: usize, stage: &mut Shared<[Four]>) {
    #[unroll]
    for round in 0..comptime!(STAGED / UNITS) {
        let item = UNIT_POS as usize + comptime!(round * UNITS);
        let mut values = Four::new(0.0f32);
        if first + item / comptime!(POINTS * FOURS) < end {
            values = filters[first * comptime!(POINTS * FOURS) + item];
        }
        stage[STAGED + item] = values;
    }
}

/// Adds the products of the staged channels.
#[cube]
fn multiply(stage: &Shared<[Four]>, sums: &mut Array<Four>) {
    let unit = UNIT_POS as usize;
    let start = unit / 16 * FOURS;
    for c in 0..BLOCK {
        let at = start + c * comptime!(POINTS * FOURS);
        let near = stage[at + unit % 4];
        let far = stage[at + unit % 4 + 4];
        let low = stage[at + STAGED + unit / 4 % 4];
        let high = stage[at + STAGED + unit / 4 % 4 + 4];
        #[unroll]
        for lane in 0..4usize {
            let channel = Four::new(low.extract(lane));
            sums[comptime!(2 * lane)] += near * channel;
            sums[comptime!(2 * lane + 1)] += far * channel;
        }
        #[unroll]
        for lane in 0..4usize {
            let channel = Four::new(high.extract(lane));
            sums[comptime!(8 + 2 * lane)] += near * channel;
            sums[comptime!(9 + 2 * lane)] += far * channel;
        }
    }
}

/// Brings the unit's channels `2 * round` and the next to shared memory, as `[point][channel][block]`.
#[cube]
fn share(sums: &Array<Four>, #[comptime] round: usize, stage: &mut Shared<[Four]>) {
    let unit = UNIT_POS as usize;
    #[unroll]
    for channel in 0..2usize {
        let at = (unit / 16 * 8 + channel * 4 + unit / 4 % 4) * FOURS + unit % 4;
        stage[at] = sums[comptime!(4 * round + 2 * channel)];
        stage[at + 4] = sums[comptime!(4 * round + 2 * channel + 1)];
    }
}

/// Writes the channels shared in `round`, as far as the result goes: a unit one row of four neighbouring blocks.
#[cube]
fn store<F: Float>(
    bias: &[F],
    out: &mut [F],
    stage: &Shared<[Four]>,
    #[comptime] round: usize,
    first_channel: usize,
    tile: &Tile,
    sizes: &Sizes,
    #[comptime] biased: bool,
) {
    let item = UNIT_POS as usize;
    let four = item % FOURS;
    let slot = item / FOURS % 8;
    let row = item / comptime!(8 * FOURS);
    let lane = comptime!(2 * round % 4) + slot / 4;
    let channel = first_channel + tile.channel + comptime!(round / 2 * 16) + slot % 4 * 4 + lane;
    let y = tile.row + four / 2 * 2 + row;
    if row < 2 && channel < sizes.outputs as usize && y < sizes.out_height as usize {
        let mut offset = 0.0f32;
        if comptime!(biased) {
            offset = f32::cast_from(bias[channel]);
        }
        // The rows are 0 + 1 + 2 and 1 - 2 - 3 of the points.
        let outer = row * 3;
        let sign = Four::new(select(row == 0, 1.0f32, -1.0f32));
        let mut line = Array::<Four>::new(4usize);
        #[unroll]
        for j in 0..4usize {
            let at = (j * 8 + slot) * FOURS + four;
            let pitch = comptime!(4 * 8 * FOURS);
            line[j] = stage[at + pitch] + sign * stage[at + pitch * 2] + sign * stage[at + outer * pitch];
        }
        let even = line[0] + line[1] + line[2];
        let odd = line[1] - line[2] - line[3];
        let width = sizes.out_width as usize;
        let plane = (tile.batch * sizes.outputs as usize + channel) * sizes.out_frames as usize + tile.frame;
        let start = (plane * sizes.out_height as usize + y) * width;
        let x = tile.column + four % 2 * 8;
        #[unroll]
        for block in 0..4usize {
            let column = x + comptime!(2 * block);
            if column < width {
                out[start + column] = F::cast_from(even.extract(block) + offset);
            }
            if column + 1 < width {
                out[start + column + 1] = F::cast_from(odd.extract(block) + offset);
            }
        }
    }
}
