//! The convolution as an implicit matrix product: a cube computes a tile of channels by pixels of one frame.
//!
//! Each unit holds eight channels of four neighbouring pixels in registers. A block of input channels at a time passes
//! through shared memory, once per frame of the window: the patch of pixels that the tile sees, straight from where the
//! frame lies, and the weights. A staged pixel thus serves all taps over rows and columns, and no buffer of columns
//! exists. An output is summed over frames, blocks, channels, rows and columns in this order whatever else is in the
//! tile or in the call. Only barriers of the whole cube are used, so that the plane size does not matter.

#![allow(clippy::too_many_arguments, reason = "a kernel has no state but its arguments")]
#![allow(
    clippy::manual_div_ceil,
    clippy::manual_range_contains,
    reason = "CubeCL expands operators, not std methods"
)]

pub mod winograd;

use cubecl::prelude::*;

pub use super::form::Form;
use super::form::{PIXELS, UNITS};

/// Four channels.
type Four = Vector<f32, Const<4>>;

/// Elements from one batch item, channel and frame of a video to the next; the pixels of a frame are contiguous.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub struct Strides {
    pub batch: u32,
    pub channel: u32,
    pub frame: u32,
}

/// Sizes of a launch.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub struct Sizes {
    /// Channels.
    pub inputs: u32,
    pub outputs: u32,
    /// Frames of `x` and of `history`.
    pub frames: u32,
    pub past: u32,
    pub height: u32,
    pub width: u32,
    pub out_frames: u32,
    pub out_height: u32,
    pub out_width: u32,
    /// Frames of the window, and from one window to the next.
    pub depth: u32,
    pub step: u32,
    /// Zeros before the first frame, row and column.
    pub before: u32,
    pub above: u32,
    pub left: u32,
    /// Tiles over channels, rows and columns.
    pub channel_tiles: u32,
    pub row_tiles: u32,
    pub column_tiles: u32,
    /// This launch works on tiles `first..end` of all frames of all batch items.
    pub first: u32,
    pub end: u32,
}

/// `x`, `history`: `[b, c_in, t, h, w]` by their strides, `weight`: `[c_out, c_in, k_t, k_h, k_w]`, `bias`: `[c_out]`
/// (read if the form has one), `out`: `[b, c_out, t', h', w']`.
#[cube(launch_unchecked, create_dummy_kernel)]
pub fn conv3d_kernel<F: Float>(
    x: &[F],
    history: &[F],
    weight: &[F],
    bias: &[F],
    out: &mut [F],
    x_strides: Strides,
    history_strides: Strides,
    sizes: Sizes,
    #[comptime] form: Form,
    #[define(F)] _dtype: ElemType,
) {
    let item = CUBE_POS + sizes.first as usize;
    if item >= sizes.end as usize {
        terminate!();
    }
    let tile = Tile::new(item, &sizes, comptime!(form.tile()));
    let mut patch = Shared::<[f32]>::new_slice(comptime!(form.patch_floats()));
    let mut weights = Shared::<[Four]>::new_slice(comptime!(form.weight_fours()));
    let mut sums = Array::<Four>::new(comptime!(2 * PIXELS));

    let before = sizes.before as usize;
    let block = comptime!(form.block);
    for tap in 0..sizes.depth as usize {
        let at = tile.frame * sizes.step as usize + tap;
        let present = at >= before && at < before + sizes.frames as usize;
        let past = at < before && at + sizes.past as usize >= before;
        if present || past {
            for piece in 0..(sizes.inputs as usize + block - 1) / block {
                let channel = piece * block;
                sync_cube();
                if present {
                    load_patch::<F>(x, &x_strides, at - before, channel, &tile, &sizes, &mut patch, form);
                } else {
                    let frame = at + sizes.past as usize - before;
                    load_patch::<F>(
                        history,
                        &history_strides,
                        frame,
                        channel,
                        &tile,
                        &sizes,
                        &mut patch,
                        form,
                    );
                }
                load_weights::<F>(weight, tap, channel, &tile, &sizes, &mut weights, form);
                sync_cube();
                multiply(&patch, &weights, &mut sums, form);
            }
        }
    }
    store::<F>(bias, out, &sums, &tile, &sizes, form);
}

/// What a cube computes.
#[derive(CubeType, Clone, Copy)]
struct Tile {
    batch: usize,
    /// Of the result.
    frame: usize,
    /// First channel, row and column of the result.
    channel: usize,
    row: usize,
    column: usize,
}

#[cube]
impl Tile {
    /// Number `item`, each of `extent` channels, rows and columns; those of channels lie next to each other, as they
    /// read the same pixels.
    fn new(item: usize, sizes: &Sizes, #[comptime] extent: [usize; 3]) -> Tile {
        let pixels = item / sizes.channel_tiles as usize;
        let rows = pixels / sizes.column_tiles as usize;
        let frames = rows / sizes.row_tiles as usize;
        Tile {
            batch: frames / sizes.out_frames as usize,
            frame: frames % sizes.out_frames as usize,
            channel: item % sizes.channel_tiles as usize * comptime!(extent[0]),
            row: rows % sizes.row_tiles as usize * comptime!(extent[1]),
            column: pixels % sizes.column_tiles as usize * comptime!(extent[2]),
        }
    }
}

/// Brings the pixels that the tile sees of a block of channels of one frame to shared memory, as
/// `[channel][row][column]`, zero beyond the frame and the last channel.
#[cube]
fn load_patch<F: Float>(
    source: &[F],
    strides: &Strides,
    frame: usize,
    channel: usize,
    tile: &Tile,
    sizes: &Sizes,
    patch: &mut Shared<[f32]>,
    #[comptime] form: Form,
) {
    let rows = comptime!(form.patch()[0]);
    let columns = comptime!(form.patch()[1]);
    let loads = comptime!(form.block * rows * columns);
    let start = tile.batch * strides.batch as usize + frame * strides.frame as usize;
    let above = sizes.above as usize;
    let left = sizes.left as usize;
    let width = sizes.width as usize;
    for round in 0..comptime!(loads.div_ceil(UNITS)) {
        let item = UNIT_POS as usize + round * UNITS;
        if item < loads {
            let line = item / columns;
            let c = channel + line / rows;
            // With the zeros before the frame.
            let y = tile.row * comptime!(form.stride[0]) + line % rows;
            let x = tile.column * comptime!(form.stride[1]) + item % columns;
            let mut value = 0.0f32;
            if c < sizes.inputs as usize
                && y >= above
                && y < above + sizes.height as usize
                && x >= left
                && x < left + width
            {
                let at = start + c * strides.channel as usize + (y - above) * width + (x - left);
                value = f32::cast_from(source[at]);
            }
            patch[line * comptime!(form.patch_pitch()) + item % columns] = value;
        }
    }
}

/// Brings the weights of the tile's channels for a block of input channels and one frame of the window to shared
/// memory, as `[input channel][row][column][output channel]`, zero beyond the last channels.
#[cube]
fn load_weights<F: Float>(
    weight: &[F],
    tap: usize,
    channel: usize,
    tile: &Tile,
    sizes: &Sizes,
    weights: &mut Shared<[Four]>,
    #[comptime] form: Form,
) {
    let taps = comptime!(form.taps());
    let lines = comptime!(form.block * taps);
    let loads = comptime!(lines * form.fours());
    for round in 0..comptime!(loads.div_ceil(UNITS)) {
        let item = UNIT_POS as usize + round * UNITS;
        if item < loads {
            let line = item % lines;
            let four = item / lines;
            let input = channel + line / taps;
            let mut values = Four::new(0.0f32);
            #[unroll]
            for lane in 0..4usize {
                let output = tile.channel + 4 * four + lane;
                if input < sizes.inputs as usize && output < sizes.outputs as usize {
                    let row = (output * sizes.inputs as usize + input) * sizes.depth as usize + tap;
                    values.insert(lane, f32::cast_from(weight[row * taps + line % taps]));
                }
            }
            weights[line * comptime!(form.weight_pitch()) + four] = values;
        }
    }
}

/// The unit's row within the tile.
#[cube]
fn own_row(#[comptime] form: Form) -> usize {
    UNIT_POS as usize % comptime!(UNITS / form.groups) / comptime!(form.columns() / PIXELS)
}

/// The unit's first column within the tile.
#[cube]
fn own_column(#[comptime] form: Form) -> usize {
    UNIT_POS as usize % comptime!(form.columns() / PIXELS) * PIXELS
}

/// The unit's first channel within the tile.
#[cube]
fn own_channel(#[comptime] form: Form) -> usize {
    UNIT_POS as usize / comptime!(UNITS / form.groups) * 8
}

/// Adds the products of the staged channels.
#[cube]
fn multiply(patch: &Shared<[f32]>, weights: &Shared<[Four]>, sums: &mut Array<Four>, #[comptime] form: Form) {
    let row = own_row(form);
    let column = own_column(form);
    let four = own_channel(form) / 4;
    let step = comptime!(form.stride[1]);
    let reach = comptime!((PIXELS - 1) * step + form.kernel[1]);
    let mut line = Array::<f32>::new(reach);
    for c in 0..comptime!(form.block) {
        for dy in 0..comptime!(form.kernel[0]) {
            let y = c * comptime!(form.patch()[0]) + row * comptime!(form.stride[0]) + dy;
            let start = y * comptime!(form.patch_pitch()) + column * step;
            #[unroll]
            for j in 0..reach {
                line[j] = patch[start + j];
            }
            #[unroll]
            for dx in 0..comptime!(form.kernel[1]) {
                let tap = (c * comptime!(form.kernel[0]) + dy) * comptime!(form.kernel[1]) + dx;
                let at = tap * comptime!(form.weight_pitch()) + four;
                let low = weights[at];
                let high = weights[at + 1];
                #[unroll]
                for p in 0..PIXELS {
                    let pixel = Four::new(line[comptime!(p * step + dx)]);
                    sums[comptime!(2 * p)] += low * pixel;
                    sums[comptime!(2 * p + 1)] += high * pixel;
                }
            }
        }
    }
}

/// Writes the unit's eight channels of four pixels, as far as the result goes.
#[cube]
fn store<F: Float>(
    bias: &[F],
    out: &mut [F],
    sums: &Array<Four>,
    tile: &Tile,
    sizes: &Sizes,
    #[comptime] form: Form,
) {
    let y = tile.row + own_row(form);
    let x = tile.column + own_column(form);
    let first = tile.channel + own_channel(form);
    let outputs = sizes.outputs as usize;
    let width = sizes.out_width as usize;
    #[unroll]
    for c in 0..8usize {
        let channel = first + c;
        if channel < outputs && y < sizes.out_height as usize {
            let mut offset = 0.0f32;
            if comptime!(form.bias) {
                offset = f32::cast_from(bias[channel]);
            }
            let plane = (tile.batch * outputs + channel) * sizes.out_frames as usize + tile.frame;
            let line = (plane * sizes.out_height as usize + y) * width;
            #[unroll]
            for p in 0..PIXELS {
                if x + p < width {
                    let sum = sums[comptime!(2 * p + c / 4)].extract(comptime!(c % 4));
                    out[line + x + p] = F::cast_from(sum + offset);
                }
            }
        }
    }
}
