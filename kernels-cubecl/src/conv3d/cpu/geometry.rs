//! Where the taps of an output lie.

use std::ops::Range;

use crate::conv3d::{Conv3dOptions, shape::ConvShape};

/// Sizes over time, height and width, and the counts of everything else.
#[derive(Clone, Copy, Debug)]
pub struct Geometry {
    pub batch: usize,
    /// Channels.
    pub inputs: usize,
    pub outputs: usize,
    pub size: [usize; 3],
    pub kernel: [usize; 3],
    pub stride: [usize; 3],
    /// Padding before the first frame, row and column.
    pub before: [usize; 3],
    /// Frames of the padding that the history stands for.
    pub past: usize,
    pub out: [usize; 3],
}

impl Geometry {
    pub fn new(shape: ConvShape, options: Conv3dOptions) -> Self {
        let ConvShape { batch, inputs, outputs, size, past, kernel, out } = shape;
        let before = options.padding.map(|(before, _)| before);
        Self { batch, inputs, outputs, size, kernel, stride: options.stride, before, past, out }
    }

    pub fn output(&self) -> [usize; 5] {
        let [t, h, w] = self.out;
        [self.batch, self.outputs, t, h, w]
    }

    /// Pixels of an output frame.
    pub fn pixels(&self) -> usize {
        self.out[1] * self.out[2]
    }

    /// The input frame under `tap` of output frame `t`; history has negative numbers.
    pub fn frame(&self, t: usize, tap: usize) -> isize {
        (t * self.stride[0] + tap) as isize - self.before[0] as isize
    }

    /// The taps of output frame `t` that lie on frames; zeros are under all others.
    pub fn taps(&self, t: usize) -> Range<usize> {
        let first = self.frame(t, 0);
        let tap = |frame: isize| (frame - first).clamp(0, self.kernel[0] as isize) as usize;
        tap(-(self.past as isize))..tap(self.size[0] as isize)
    }

    /// The same convolution on frames of a single row, if pixels do not mix.
    pub fn flattened(self) -> Self {
        let mixes =
            self.kernel[1..] != [1, 1] || self.size[1..] != self.out[1..] || self.before[1..] != [0, 0];
        if mixes {
            return self;
        }
        let row = |[t, h, w]: [usize; 3]| [t, 1, h * w];
        Self { size: row(self.size), out: row(self.out), stride: [self.stride[0], 1, 1], ..self }
    }
}
