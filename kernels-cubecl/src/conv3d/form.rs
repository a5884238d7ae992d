//! What a convolution kernel is compiled for, and the tiles that follow from it: pure arithmetic.

/// Units of a cube.
pub const UNITS: usize = 256;

/// Neighbouring pixels of a unit, each with eight channels.
pub const PIXELS: usize = 4;

/// Bytes of shared memory of a cube: what WebGPU guarantees.
pub const SHARED_BYTES: usize = 16_384;

/// Staged lines of weights per output channel to aim at: enough work between two barriers.
const LINES: usize = 36;

/// Sizes over rows and columns, and the tile. Channels, frames and pixels are no part of it, so that a network
/// compiles a handful of kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Form {
    /// Rows and columns of the window.
    pub kernel: [usize; 2],
    /// From one window to the next.
    pub stride: [usize; 2],
    /// Groups of eight channels in a tile: 8, 4 or 1, with 16 x 8, 16 x 16 or 32 x 32 pixels.
    pub groups: usize,
    /// Input channels in shared memory at a time.
    pub block: usize,
    pub bias: bool,
}

impl Form {
    /// For `outputs` channels; `None` if even one channel of the smallest patch exceeds [`SHARED_BYTES`].
    pub fn new(kernel: [usize; 2], stride: [usize; 2], outputs: usize, bias: bool) -> Option<Self> {
        let taps = kernel[0].saturating_mul(kernel[1]);
        let block = (LINES / taps.max(1)).clamp(1, 16);
        let candidates = [8, 4, 1].into_iter().filter_map(|groups| {
            let form = Self { kernel, stride, groups, block, bias };
            (0..5).map(|halvings| Self { block: (block >> halvings).max(1), ..form }).find(|f| f.fits())
        });
        candidates.min_by_key(|form| form.cost(outputs))
    }

    /// Work for `outputs` channels: padding to whole tiles costs sums, each further tile the same pixels once more.
    fn cost(&self, outputs: usize) -> usize {
        outputs.div_ceil(self.channels()).saturating_mul(self.channels() + 16)
    }

    fn fits(&self) -> bool {
        let longest = self.kernel.iter().chain(&self.stride).max().copied().unwrap_or_default();
        longest <= SHARED_BYTES && self.shared_bytes() <= SHARED_BYTES
    }

    /// Of one cube; vectors begin at multiples of their size.
    pub fn shared_bytes(&self) -> usize {
        (4 * self.patch_floats()).next_multiple_of(16) + 16 * self.weight_fours()
    }

    /// Channels of a tile.
    pub fn channels(&self) -> usize {
        8 * self.groups
    }

    /// Columns of a tile.
    pub fn columns(&self) -> usize {
        if self.groups == 1 { 32 } else { 16 }
    }

    /// Rows of a tile.
    pub fn rows(&self) -> usize {
        UNITS / self.groups * PIXELS / self.columns()
    }

    /// Channels, rows and columns of a tile.
    pub fn tile(&self) -> [usize; 3] {
        [self.channels(), self.rows(), self.columns()]
    }

    /// Taps over rows and columns.
    pub fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Rows and columns of the pixels that a tile sees.
    pub fn patch(&self) -> [usize; 2] {
        let reach = |tile: usize, axis: usize| (tile - 1) * self.stride[axis] + self.kernel[axis];
        [reach(self.rows(), 0), reach(self.columns(), 1)]
    }

    /// Floats from one staged row to the next; odd, so that rows fall on different banks.
    pub fn patch_pitch(&self) -> usize {
        self.patch()[1] | 1
    }

    pub fn patch_floats(&self) -> usize {
        self.block * self.patch()[0] * self.patch_pitch()
    }

    /// Vectors of four channels of a tile.
    pub fn fours(&self) -> usize {
        self.channels() / 4
    }

    /// Vectors from one staged tap to the next; odd, so that taps fall on different banks.
    pub fn weight_pitch(&self) -> usize {
        self.fours() | 1
    }

    pub fn weight_fours(&self) -> usize {
        self.block * self.taps() * self.weight_pitch()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_the_video_networks_fit_every_adapter() {
        for (kernel, stride) in [([3, 3], [1, 1]), ([3, 3], [2, 2]), ([1, 1], [1, 1])] {
            for outputs in [1, 3, 12, 16, 32, 96, 97, 192, 384, 1152] {
                let form = Form::new(kernel, stride, outputs, true).unwrap_or_else(|| panic!("{kernel:?}"));
                assert!(form.shared_bytes() <= SHARED_BYTES, "{form:?}");
                assert_eq!(form.rows() * form.columns() * form.channels(), UNITS * PIXELS * 8, "{form:?}");
            }
        }
    }

    #[test]
    fn tiles_follow_the_channels() {
        let groups = |outputs| Form::new([3, 3], [1, 1], outputs, true).map(|form| form.groups);
        let chosen = [3, 8, 32, 64, 96, 192, 384].map(groups);
        assert_eq!(chosen, [1, 1, 4, 8, 4, 8, 8].map(Some));
    }

    #[test]
    fn windows_beyond_shared_memory_have_no_form() {
        assert_eq!(Form::new([64, 64], [1, 1], 8, false), None);
        assert_eq!(Form::new([usize::MAX, 1], [1, 1], 8, false), None);
        assert_eq!(Form::new([3, 3], [1, usize::MAX], 8, false), None);
    }
}
