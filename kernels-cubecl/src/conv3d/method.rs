//! Which kernel computes a call, and the tiles that follow from it: pure arithmetic.

use super::{
    Conv3dOptions,
    form::{Form, PIXELS, UNITS},
    kernel::winograd::{POINTS, TILE},
    shape::ConvShape,
};
use crate::split::Work;

/// Bytes of transformed filters held at a time.
pub(crate) const FILTER_BYTES: usize = 64 << 20;

/// What Winograd's transforms cost, in products: of pixels, for each product; of results, as that many more input
/// channels would. Both follow from the times of both kernels on llvmpipe.
const PIXELS_SHARE: f64 = 0.2;
const RESULT_TERMS: f64 = 8.0;

/// And of a filter, by an estimate.
const FILTER: f64 = 64.0;

/// A kernel and what it is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Direct(Form),
    /// Over blocks of 2x2 pixels, with a bias or without.
    Winograd {
        bias: bool,
    },
}

impl Method {
    /// The cheapest; `None` if the window exceeds the shared memory of every kernel. No count of frames or batch items
    /// enters: a frame takes the same way in every chunk.
    pub fn new(shape: ConvShape, options: Conv3dOptions, bias: bool) -> Option<Self> {
        let [_, rows, columns] = shape.kernel;
        let [_, down, right] = options.stride;
        let direct = Self::Direct(Form::new([rows, columns], [down, right], shape.outputs, bias)?);
        let filtered = Self::Winograd { bias };
        let window = [rows, columns, down, right] == [3, 3, 1, 1] && filter_bytes(shape) <= FILTER_BYTES;
        Some(if window && filtered.cost(shape) < direct.cost(shape) { filtered } else { direct })
    }

    /// Channels, rows and columns of a cube's tile.
    pub fn tile(&self) -> [usize; 3] {
        match self {
            Self::Direct(form) => form.tile(),
            Self::Winograd { .. } => TILE,
        }
    }

    /// Products of a tile with one frame of the window of one input channel.
    fn products(&self) -> usize {
        match self {
            Self::Direct(form) => UNITS * PIXELS * 8 * form.taps(),
            Self::Winograd { .. } => POINTS * TILE.iter().product::<usize>() / 4,
        }
    }

    /// Time for a frame of the result, in direct products with one input channel of one frame of the window.
    fn cost(&self, shape: ConvShape) -> f64 {
        let [channels, rows, columns] = self.over(shape);
        let products = (channels * rows * columns * self.products()) as f64;
        match self {
            Self::Direct(_) => products,
            Self::Winograd { .. } => {
                let terms = (shape.inputs * shape.kernel[0]) as f64;
                let filters = (channels * TILE[0]) as f64 * FILTER;
                products * (1.0 + PIXELS_SHARE + RESULT_TERMS / terms) + filters
            }
        }
    }

    /// Tiles over channels, rows and columns.
    fn over(&self, shape: ConvShape) -> [usize; 3] {
        let ([_, h, w], [channels, rows, columns]) = (shape.out, self.tile());
        [shape.outputs.div_ceil(channels), h.div_ceil(rows), w.div_ceil(columns)]
    }

    /// Tiles of all batch items and frames, over channels, rows and columns.
    pub fn tiles(&self, shape: ConvShape) -> [usize; 4] {
        let [channels, rows, columns] = self.over(shape);
        [shape.batch * shape.out[0], channels, rows, columns]
    }

    /// Of one cube.
    pub fn work(&self, shape: ConvShape) -> Work {
        let terms = shape.inputs * shape.kernel[0];
        Work { flops: 2.0 * self.products() as f64 * terms as f64, bytes: 0.0 }
    }
}

/// Of one tile of channels, transformed.
fn filter_bytes(shape: ConvShape) -> usize {
    let values = POINTS * TILE[0];
    shape.kernel[0].saturating_mul(shape.inputs).saturating_mul(values * size_of::<f32>())
}

/// Tiles of channels whose transformed filters are held at a time.
pub fn tiles_at_once(shape: ConvShape) -> usize {
    (FILTER_BYTES / filter_bytes(shape).max(1)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(inputs: usize, outputs: usize, [h, w]: [usize; 2], kernel: [usize; 3]) -> ConvShape {
        let size = [4, h, w];
        ConvShape { batch: 1, inputs, outputs, size, past: 2, kernel, out: size }
    }

    fn filtered(shape: ConvShape, stride: [usize; 3]) -> bool {
        let options = Conv3dOptions { stride, ..Conv3dOptions::default() };
        matches!(Method::new(shape, options, true), Some(Method::Winograd { .. }))
    }

    #[test]
    fn filtering_is_for_planes_and_enough_channels() {
        let plane = [60, 104];
        assert!(filtered(shape(96, 96, plane, [3; 3]), [1; 3]));
        assert!(filtered(shape(384, 192, plane, [1, 3, 3]), [1; 3]));
        assert!(filtered(shape(96, 96, plane, [3; 3]), [2, 1, 1]));
        assert!(filtered(shape(16, 384, plane, [3; 3]), [1; 3]));
        assert!(
            !filtered(shape(3, 96, plane, [1, 3, 3]), [1; 3]),
            "the transform of the results costs too much"
        );
        assert!(!filtered(shape(96, 3, plane, [3; 3]), [1; 3]));
        assert!(!filtered(shape(96, 96, plane, [1, 3, 3]), [1, 2, 2]));
        assert!(!filtered(shape(96, 96, plane, [3, 1, 1]), [1; 3]));
        assert!(!filtered(shape(96, 96, plane, [3, 3, 5]), [1; 3]));
        assert!(
            !filtered(shape(1 << 20, 96, plane, [3; 3]), [1; 3]),
            "its filters exceed the memory for them"
        );
    }

    #[test]
    fn filters_are_held_within_bounds() {
        for inputs in [1, 96, 384, 1024, 8192] {
            let shape = shape(inputs, 1024, [8, 8], [3; 3]);
            assert!(tiles_at_once(shape) * filter_bytes(shape) <= FILTER_BYTES, "{inputs}");
        }
        assert_eq!(tiles_at_once(shape(1024, 1024, [8, 8], [3; 3])), 10);
    }
}
