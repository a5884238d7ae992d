//! What a forward pass holds beside the weights, by shapes alone: at each place where a block holds most, the tensors
//! that live there.

use wan_kernels::{DeviceKind, linear_workspace};

use super::ffn::tokens_at_once;
use crate::WanConfig;

/// Bytes of an f32.
const SINGLE: usize = size_of::<f32>();

/// One forward pass, as far as its memory goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassShape {
    /// Of the video.
    pub tokens: usize,
    /// Bytes of a value in the products.
    pub value_bytes: usize,
    /// Whether large weights are held in fewer bits.
    pub quantized: bool,
    /// Whether products are the host's own, whose results are f32.
    pub on_host: bool,
    /// Prompts that pass through the blocks together.
    pub texts: usize,
    /// Rows of all texts and of the image branch that blocks keep keys and values of.
    pub context_rows: usize,
    /// Whether there is a camera and blocks whose modulation is not kept.
    pub modulates: bool,
    /// Held by attention among the video's tokens beyond operands and result.
    pub workspace: u64,
}

/// What [`WanConfig::pass_bytes`] says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PassBytes {
    pub activations: u64,
    /// Of attention, if the pass holds most while it attends.
    pub attention: u64,
}

impl WanConfig {
    /// The most that one pass holds at a time beyond weights, latents and conditions.
    pub fn pass_bytes(&self, shape: &PassShape) -> PassBytes {
        let camera = if shape.modulates { 2 * shape.tokens * self.dim * shape.value_bytes } else { 0 };
        let waiting = (shape.texts - 1) * self.stream(shape) + camera;
        let among = waiting + self.attending(shape);
        let modulating = if shape.modulates { (shape.texts + 3) * self.stream(shape) } else { 0 };
        let block = [self.projecting(shape), self.feed_forward(shape), self.reading_text(shape)];
        let block = block.into_iter().max().unwrap_or(0) + waiting;
        let other = block.max(modulating) as u64;
        if among as u64 + shape.workspace > other {
            PassBytes { activations: among as u64, attention: shape.workspace }
        } else {
            PassBytes { activations: other, attention: 0 }
        }
    }

    /// Of one block's camera modulation, kept for all passes.
    pub fn modulation_bytes(&self, tokens: usize, value_bytes: usize) -> u64 {
        (2 * tokens * self.dim * value_bytes) as u64
    }

    /// Text, image and camera as the blocks take them, with the keys and values that each block keeps, and the rotary
    /// table.
    pub fn condition_bytes(&self, shape: &PassShape, camera: bool) -> u64 {
        let rows = shape.context_rows + if camera { shape.tokens } else { 0 };
        let kept = 2 * self.layers * shape.context_rows * self.dim * shape.value_bytes;
        ((rows * self.dim + shape.tokens * self.head_dim()) * SINGLE + kept) as u64
    }

    /// The most that embedding the texts takes, or the control values of all tokens.
    pub fn embedding_bytes(&self, shape: &PassShape, camera: bool) -> u64 {
        let text = shape.context_rows * (self.text_dim + 3 * self.dim);
        let control =
            self.control_width().filter(|_| camera).map_or(0, |width| shape.tokens * (width + 4 * self.dim));
        (text.max(control) * SINGLE) as u64
    }

    /// The residual stream.
    fn stream(&self, shape: &PassShape) -> usize {
        shape.tokens * self.dim * SINGLE
    }

    /// Activations as the host's products read them.
    fn packed(shape: &PassShape, rows: usize, inputs: usize) -> usize {
        if shape.on_host { linear_workspace(DeviceKind::Flex, rows, inputs) as usize } else { 0 }
    }

    /// Stream, modulated stream and queries while keys are projected, or normalised and rotated, or with keys while
    /// values are projected.
    fn projecting(&self, shape: &PassShape) -> usize {
        let (values, e) = (shape.tokens * self.dim, shape.value_bytes);
        let narrowed = if e == SINGLE { 0 } else { e };
        let keys = if shape.on_host { 2 * SINGLE + narrowed } else { SINGLE + e };
        let packed = Self::packed(shape, shape.tokens, self.dim);
        2 * self.stream(shape) + (values * (e + keys)).max(values * (2 * e + SINGLE) + packed)
    }

    /// Stream, queries, keys, values and result.
    fn attending(&self, shape: &PassShape) -> usize {
        self.stream(shape) + 4 * shape.tokens * self.dim * shape.value_bytes
    }

    /// Stream, normalised stream, queries on their way and result.
    fn reading_text(&self, shape: &PassShape) -> usize {
        2 * self.stream(shape) + shape.tokens * self.dim * (shape.value_bytes + SINGLE)
    }

    /// Stream, input, results so far, and the hidden values of some tokens, of all of them if they are few; weights in
    /// fewer bits round these to the products' dtype on their way.
    fn feed_forward(&self, shape: &PassShape) -> usize {
        let most = tokens_at_once(shape.on_host, self.ffn_dim, shape.value_bytes);
        // In even parts.
        let at_once = shape.tokens.div_ceil(shape.tokens.div_ceil(most).max(1));
        let (values, hidden) = (shape.tokens * self.dim, at_once * self.ffn_dim);
        let (narrowed, e) = (shape.quantized && shape.value_bytes != SINGLE, shape.value_bytes);
        let (outer, inner) = match (shape.on_host, narrowed) {
            (true, false) => (0, SINGLE),
            (true, true) => (0, SINGLE + e),
            (false, _) => (2 * values * e, e),
        };
        let streams = if at_once < shape.tokens { 3 } else { 2 };
        streams * self.stream(shape) + outer + hidden * inner + Self::packed(shape, at_once, self.ffn_dim)
    }
}
