//! What the autoencoder holds while it works, by shapes alone: a walk through its layers that counts tensors instead of
//! computing them.

use super::{
    VaeConfig, VaeMemory,
    config::{CONV_MEMORY, Stage},
};

/// Bytes of an f32.
const SINGLE: usize = size_of::<f32>();
/// Colours of a pixel.
const COLOURS: usize = 3;

/// Bytes of a network at work, its weights aside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VaeBytes {
    /// The frames that convolutions look back at.
    pub histories: u64,
    /// Everything else at its most.
    pub working: u64,
}

impl VaeConfig {
    /// Of decoding `frames` latent frames of `[rows, columns]` latent pixels. `workspace`: what a convolution holds
    /// beyond arguments and result, by its inputs, outputs and taps.
    pub fn decode_bytes(
        &self,
        frames: usize,
        size: [usize; 2],
        memory: &VaeMemory,
        workspace: &dyn Fn([usize; 3]) -> u64,
    ) -> VaeBytes {
        tiled(size, memory, |tile| {
            let walk = Walk { config: self, memory, workspace, seen: frames.min(CONV_MEMORY) };
            walk.decode(tile, frames)
        })
    }

    /// Of encoding `frames` latent frames of `[rows, columns]` latent pixels; see [`Self::decode_bytes`].
    pub fn encode_bytes(
        &self,
        frames: usize,
        size: [usize; 2],
        memory: &VaeMemory,
        workspace: &dyn Fn([usize; 3]) -> u64,
    ) -> VaeBytes {
        tiled(size, memory, |tile| {
            let walk = Walk { config: self, memory, workspace, seen: frames.min(CONV_MEMORY) };
            walk.encode(tile, frames)
        })
    }
}

/// Every tile remembers its own frames; one is worked on at a time, beside the frames they make up.
fn tiled(size: [usize; 2], memory: &VaeMemory, walk: impl Fn([usize; 2]) -> VaeBytes) -> VaeBytes {
    let Some(tiling) = memory.tiling else { return walk(size) };
    let tile = [tiling.rows.clamp(1, size[0]), tiling.columns.clamp(1, size[1])];
    let tiles = tiling.counts(size).iter().product::<usize>() as u64;
    let VaeBytes { histories, working } = walk(tile);
    VaeBytes { histories: histories * tiles, working }
}

/// A network's layers, for frames of one size.
struct Walk<'a> {
    config: &'a VaeConfig,
    memory: &'a VaeMemory,
    workspace: &'a dyn Fn([usize; 3]) -> u64,
    /// Frames that each convolution remembers of a video of this length.
    seen: usize,
}

/// Frames of some width at one place of the network.
#[derive(Clone, Copy)]
struct At {
    pixels: usize,
    frames: usize,
}

impl Walk<'_> {
    fn decode(&self, [rows, columns]: [usize; 2], frames: usize) -> VaeBytes {
        let (config, pixels) = (self.config, rows * columns);
        let (stages, middle) = (config.decoder_stages(), config.decoder_middle());
        let at = At { pixels, frames: 1 };
        // As they came, and denormalised.
        let latents = (2 * frames.max(2) * config.z_dim * pixels * SINGLE) as u64;
        let video = frames.min(2).saturating_sub(1) * config.temporal_factor() + 1;
        let last = pixels << (2 * (stages.len() - 1));
        let video = (video * config.frame_channels() * last * SINGLE) as u64;
        let below = self.middle(middle, at);
        let above = self.stages_from(&stages, 0, at, 0);
        let mut histories = self.middle_histories(config.z_dim, middle, pixels);
        for (index, stage) in stages.iter().enumerate() {
            histories +=
                self.stage_histories(stage, config.num_res_blocks + 1, pixels << (2 * index), self.seen);
        }
        // Products with every tap of the last convolution, in f32.
        histories += (self.seen * 3 * config.frame_channels() * last * SINGLE) as u64;
        VaeBytes { histories, working: latents + video + below.max(above) }
    }

    fn encode(&self, [rows, columns]: [usize; 2], frames: usize) -> VaeBytes {
        let (config, stages) = (self.config, self.config.encoder_stages());
        let pixels = (rows * columns) << (2 * (stages.len() - 1));
        let group = if frames > 1 { config.temporal_factor() } else { 1 };
        let middle = config.encoder_middle();
        let mut histories = (self.seen * self.kept(config.frame_channels() * pixels)) as u64;
        let (mut working, mut at) = (0, At { pixels, frames: group });
        for (index, stage) in stages.iter().enumerate() {
            histories += self.stage_histories(stage, config.num_res_blocks, at.pixels, 1);
            working = working.max(self.down(stage, index == 0, at));
            if let Some(temporal) = stage.temporal_step {
                let frames = if temporal { at.frames.div_ceil(2) } else { at.frames };
                at = At { pixels: at.pixels / 4, frames };
            }
        }
        histories += self.middle_histories(middle, middle, at.pixels);
        // First and last picture and a group of grey frames, and the latents.
        let video = (2 * group + 2) * COLOURS * pixels * config.patch_size.pow(2);
        let latents = frames * 2 * config.z_dim * at.pixels;
        let still = ((video + latents) * SINGLE) as u64;
        VaeBytes { histories, working: still + working.max(self.middle(middle, at)) }
    }

    /// Bytes of `elements` as they are remembered.
    fn kept(&self, elements: usize) -> usize {
        elements * if self.memory.half { SINGLE / 2 } else { SINGLE }
    }

    fn bytes(&self, channels: usize, at: At) -> u64 {
        (channels * at.pixels * at.frames * SINGLE) as u64
    }

    /// Of the outer convolution of `inputs` and the middle blocks.
    fn middle_histories(&self, inputs: usize, middle: usize, pixels: usize) -> u64 {
        (self.seen * self.kept((inputs + 4 * middle) * pixels)) as u64
    }

    /// Of `blocks` residual blocks, and `step` frames of the step in time.
    fn stage_histories(&self, stage: &Stage, blocks: usize, pixels: usize, step: usize) -> u64 {
        let channels = stage.inputs + (2 * blocks - 1) * stage.outputs;
        // The first frame of a video never reaches the step.
        let step = if stage.temporal_step == Some(true) && self.seen > 1 { step } else { 0 };
        (self.kept((self.seen * channels + step * stage.outputs) * pixels)) as u64
    }

    /// What a convolution over time holds of its input beyond the histories: the frame that is forgotten after it; and
    /// the frames themselves, unless a single one is remembered as it is.
    fn input(&self, channels: usize, at: At) -> u64 {
        let frame = self.kept(channels * at.pixels);
        let own = if at.frames == 1 { 0 } else { at.frames + 1 };
        let forgotten = usize::from(self.seen > 1);
        ((own + forgotten) * frame) as u64
    }

    /// A residual block with its input.
    fn block(&self, inputs: usize, outputs: usize, at: At) -> u64 {
        let (x, y) = (self.bytes(inputs, at), self.bytes(outputs, at));
        let conv = |from| self.input(from, at) + y + (self.workspace)([from, outputs, 27]);
        let rounded = |bytes: u64| if self.memory.half { bytes + bytes / 2 } else { 0 };
        let around = if inputs == outputs { y } else { 2 * y + (self.workspace)([inputs, outputs, 1]) };
        x + [conv(inputs), conv(outputs), rounded(x), rounded(y), around].into_iter().max().unwrap_or(0)
    }

    /// The outer blocks, or attention: input, queries, keys and values, once more in rows, twice packed, the result.
    fn middle(&self, channels: usize, at: At) -> u64 {
        let frame = self.bytes(channels, At { frames: 1, ..at });
        self.block(channels, channels, at).max(7 * self.bytes(channels, at) + 3 * frame)
    }

    /// Stage `index` and all after it, beside `pending` bytes that wait for their turn.
    fn stages_from(&self, stages: &[Stage], index: usize, at: At, pending: u64) -> u64 {
        let Some(stage) = stages.get(index) else { return 0 };
        let shortcut = self.config.residual && stage.temporal_step.is_some();
        let waiting = pending + if shortcut { self.bytes(stage.inputs, at) } else { 0 };
        let first = pending + self.block(stage.inputs, stage.outputs, at);
        let blocks = first.max(waiting + self.block(stage.outputs, stage.outputs, at));
        match stage.temporal_step {
            None => blocks.max(pending + self.head(stage.outputs, at)),
            Some(temporal) => blocks.max(self.up(stages, index, at, temporal, waiting)),
        }
    }

    fn head(&self, channels: usize, at: At) -> u64 {
        let products = 3 * self.config.frame_channels();
        let held = self.bytes(products, At { frames: at.frames + 2, ..at });
        let conv =
            self.bytes(channels, at) + self.bytes(products, at) + (self.workspace)([channels, products, 9]);
        conv.max(3 * held)
    }

    /// The step behind a stage of the decoder, and all stages after it, piece by piece.
    fn up(&self, stages: &[Stage], index: usize, at: At, temporal: bool, waiting: u64) -> u64 {
        let width = stages[index].outputs;
        let x = self.bytes(width, at);
        let frames = if temporal && self.seen > 1 { 2 * at.frames } else { at.frames };
        let all = x / at.frames as u64 * frames as u64;
        let doubled = if frames > at.frames {
            let conv = self.input(width, at) + all + (self.workspace)([width, 2 * width, 3]);
            conv.max(2 * all)
        } else {
            0
        };
        let outputs = self.config.upsampled(width);
        let pixels = 4 * at.pixels;
        let at_once = self.memory.at_once(outputs * pixels).min(frames);
        let copies = if at_once < frames { 2 * all } else { 0 };
        let piece = all / frames as u64 * at_once as u64;
        let pending = waiting + all - piece;
        let next = At { pixels, frames: at_once };
        let y = self.bytes(outputs, next);
        let strip = (self.memory.piece_bytes as u64).min(4 * piece);
        let sharp = piece + y + strip + strip * outputs as u64 / width as u64;
        // Repeated, and once more in order.
        let bridged = if self.config.residual { 3 * y } else { 0 };
        let here = (waiting + doubled.max(copies))
            .max(pending + (sharp + (self.workspace)([width, outputs, 9])).max(bridged));
        here.max(self.stages_from(stages, index + 1, next, pending))
    }

    /// A stage of the encoder, piece by piece up to where time is halved.
    fn down(&self, stage: &Stage, first: bool, at: At) -> u64 {
        let widest = stage.inputs.max(stage.outputs);
        let at_once = self.memory.at_once(widest * at.pixels).min(at.frames);
        let piece = At { frames: at_once, ..at };
        let channels = if first { self.config.frame_channels() } else { stage.inputs };
        let own = self.bytes(channels, at);
        let waiting = own - self.bytes(channels, piece)
            + if self.config.residual { self.bytes(stage.inputs, at) } else { 0 };
        let shrunk = At { pixels: at.pixels / if stage.temporal_step.is_some() { 4 } else { 1 }, ..at };
        let results = self.bytes(stage.outputs, shrunk);
        let blocks = self.block(stage.inputs, stage.outputs, piece).max(self.block(
            stage.outputs,
            stage.outputs,
            piece,
        ));
        let at_work = waiting + results + blocks;
        let copies = if at_once < at.frames { 2 * own } else { 0 };
        at_work.max(copies).max(waiting + 3 * results)
    }
}
