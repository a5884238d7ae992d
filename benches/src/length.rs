//! How long a sequence is measured: as tokens, or as a video.

use serde::Serialize;
use wan_model::{LatentError, WanConfig};

/// Token grids of a frame that lengths are multiples of where they can be: 480x832, 464x832, 240x416 and 720x1280 with
/// VAE 2.1, the first and the last of them in both orientations alike.
const FRAMES: [[usize; 2]; 4] = [[30, 52], [29, 52], [45, 80], [15, 26]];

/// A video's extent in latents and tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Length {
    /// Of one forward pass.
    pub tokens: usize,
    /// Such as `832x480x41`, or the grid of tokens where only their number was given.
    pub video: String,
    /// Latent frames, rows and columns.
    #[serde(skip)]
    pub latent: [usize; 3],
}

impl Length {
    /// `tokens` tokens, in frames of a released size if their number allows, else as one frame as square as possible.
    pub fn of_tokens(tokens: usize, config: &WanConfig) -> Self {
        let frame = FRAMES.into_iter().find(|[rows, columns]| tokens.is_multiple_of(rows * columns));
        let [rows, columns] = frame.unwrap_or_else(|| square(tokens));
        let grid = [tokens / (rows * columns), rows, columns];
        let video = grid.map(|n| n.to_string()).join("x") + " tokens";
        Self { tokens, video, latent: std::array::from_fn(|axis| grid[axis] * config.patch[axis]) }
    }

    /// A video of `frames` frames of `width` x `height` pixels.
    ///
    /// # Errors
    /// [`LatentError`].
    pub fn of_video([width, height, frames]: [usize; 3], config: &WanConfig) -> Result<Self, LatentError> {
        let latent = config.strides().latent(config.out_dim, frames, height, width)?;
        Ok(Self {
            tokens: latent.tokens(config.patch),
            video: format!("{width}x{height}x{frames}"),
            latent: [latent.frames, latent.height, latent.width],
        })
    }
}

/// Two factors of `n` that are as near as possible, the smaller first.
fn square(n: usize) -> [usize; 2] {
    let rows = (1..=n.isqrt()).rev().find(|&rows| n.is_multiple_of(rows)).unwrap_or(1);
    [rows, n / rows]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_tokens_become_videos_of_that_length() {
        let config = WanConfig::t2v_1_3b();
        let latent = |tokens| Length::of_tokens(tokens, &config).latent;
        assert_eq!(latent(32_760), [21, 60, 104]);
        assert_eq!(latent(16_588), [11, 58, 104]);
        assert_eq!(latent(4_290), [11, 30, 52]);
        assert_eq!(latent(512), [1, 32, 64]);
        assert_eq!(latent(13), [1, 2, 26]);
    }

    #[test]
    fn a_video_has_its_own_tokens() {
        let length = Length::of_video([832, 480, 41], &WanConfig::t2v_1_3b()).unwrap();
        assert_eq!((length.tokens, length.latent), (17_160, [11, 60, 104]));
        let refused = Length::of_video([832, 480, 42], &WanConfig::t2v_1_3b());
        assert!(matches!(refused, Err(LatentError::IllegalFrameCount { below: 41, above: 45, .. })));
    }
}
