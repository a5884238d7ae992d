//! Decoded video as frames for pictures and files.

use burn::prelude::*;

/// How a value in 0..1 becomes one of 256 levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// `floor(255 v)`, as the official code writes its files.
    Truncate,
    /// `round(255 v)`, as diffusers does.
    Nearest,
}

/// Consecutive frames of a clip.
#[derive(Clone, Debug)]
pub struct FrameChunk {
    pub width: usize,
    pub height: usize,
    /// `[n, height, width, 3]` in 0..1.
    pub values: Vec<f32>,
    pub rounding: Rounding,
}

impl FrameChunk {
    /// From the decoder's `[1, 3, n, height, width]` in -1..1.
    pub(crate) fn new(video: Tensor<5>, rounding: Rounding) -> Self {
        let [_, _, _, height, width] = video.dims();
        let values = ((video + 1.0) * 0.5).permute([0, 2, 3, 4, 1]).into_data().convert::<f32>();
        // A float tensor converted to f32 has f32 values.
        let values = values.try_into_vec().unwrap_or_default();
        Self { width, height, values, rounding }
    }

    /// Each frame's `height * width * 3` bytes of RGB.
    pub fn rgb8(&self) -> impl Iterator<Item = Vec<u8>> + '_ {
        let offset = match self.rounding {
            Rounding::Truncate => 0.0,
            Rounding::Nearest => 0.5,
        };
        // A cast saturates, so slight overshoot and NaN stay within 0..=255.
        let level = move |v: &f32| (v * 255.0 + offset) as u8;
        self.values.chunks(self.width * self.height * 3).map(move |frame| frame.iter().map(level).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_follow_their_rounding() {
        let chunk = |rounding| FrameChunk { width: 1, height: 1, values: vec![0.999, 0.5, -0.1], rounding };
        assert_eq!(chunk(Rounding::Truncate).rgb8().next(), Some(vec![254, 127, 0]));
        assert_eq!(chunk(Rounding::Nearest).rgb8().next(), Some(vec![255, 128, 0]));
    }
}
