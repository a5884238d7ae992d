//! Frame, latent and token arithmetic.

/// By how much a VAE and the patch embedding behind it shrink a video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strides {
    /// Pixel frames per latent frame, after the first, which stands alone.
    pub temporal: usize,
    /// Pixels per latent row and column.
    pub spatial: usize,
    /// Latent frames, rows and columns per token.
    pub patch: [usize; 3],
}

/// Extent of one latent video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatentShape {
    pub channels: usize,
    pub frames: usize,
    pub height: usize,
    pub width: usize,
}

/// Why a video has no latent shape; carries the nearest legal values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LatentError {
    #[error("{frames} frames are not 1 more than a multiple of {stride}")]
    IllegalFrameCount { frames: usize, stride: usize, below: usize, above: usize },
    #[error("{width}x{height} is not a multiple of {multiple_w}x{multiple_h}")]
    IllegalSize {
        height: usize,
        width: usize,
        multiple_h: usize,
        multiple_w: usize,
        near_h: usize,
        near_w: usize,
    },
    #[error("{width}x{height} and {frames} frames are more than {MAX_PIXELS} pixels")]
    TooLarge { frames: usize, height: usize, width: usize },
}

/// Pixels of the largest video accepted, all frames together: an hour of 720p at 16 frames a second.
pub const MAX_PIXELS: usize = 720 * 1280 * 16 * 3600;

impl Strides {
    /// VAE 2.1: 4 frames, 8 x 8 pixels; tokens of 2 x 2.
    pub const VAE_2_1: Self = Self { temporal: 4, spatial: 8, patch: [1, 2, 2] };
    /// VAE 2.2: 4 frames, 16 x 16 pixels; tokens of 2 x 2.
    pub const VAE_2_2: Self = Self { temporal: 4, spatial: 16, patch: [1, 2, 2] };

    /// The latent shape of `frames` pixel frames of `height` x `width` pixels.
    ///
    /// # Errors
    /// If `frames` is not `temporal * n + 1`, a side is not a whole number of tokens, or the video is absurdly large.
    pub fn latent(
        &self,
        channels: usize,
        frames: usize,
        height: usize,
        width: usize,
    ) -> Result<LatentShape, LatentError> {
        self.check_frames(frames)?;
        self.check_size(height, width)?;
        let pixels = frames.checked_mul(height).and_then(|n| n.checked_mul(width));
        if pixels.is_none_or(|pixels| pixels > MAX_PIXELS) {
            return Err(LatentError::TooLarge { frames, height, width });
        }
        let frames = (frames - 1) / self.temporal + 1;
        Ok(LatentShape { channels, frames, height: height / self.spatial, width: width / self.spatial })
    }

    /// Pixel frames that `latent_frames` decode to.
    pub fn pixel_frames(&self, latent_frames: usize) -> usize {
        latent_frames.saturating_sub(1) * self.temporal + usize::from(latent_frames > 0)
    }

    /// The nearest legal frame counts at or below and at or above `frames`; both are 1 for less.
    pub fn nearest_frames(&self, frames: usize) -> (usize, usize) {
        let chunks = frames.saturating_sub(1) / self.temporal;
        let below = chunks * self.temporal + 1;
        let above = if below >= frames { below } else { below.saturating_add(self.temporal) };
        (below, above)
    }

    /// The nearest legal height and width, at least one token each; halves go up.
    pub fn nearest_size(&self, height: usize, width: usize) -> (usize, usize) {
        let [rows, columns] = self.token_pixels();
        (nearest_multiple(height, rows), nearest_multiple(width, columns))
    }

    /// Height and width for an image-conditioned video of about `area` pixels with the proportions of an image of
    /// `image_height` x `image_width`, rounded down to whole tokens in f64 as the official code does: an image of
    /// exactly 480 x 832 gives 464 x 832. Never less than one token; a side of 0 counts as 1.
    pub fn size_for_area(&self, image_height: usize, image_width: usize, area: usize) -> (usize, usize) {
        let [rows, columns] = self.token_pixels();
        let [height, width] = sides(image_height, image_width, area);
        (whole_tokens(height, rows), whole_tokens(width, columns))
    }

    /// As [`Self::size_for_area`], but each side is first rounded to whole pixels, halves to even ones, as in the
    /// examples of the diffusers library: an image of exactly 480 x 832 keeps its size.
    pub fn size_for_area_rounded(
        &self,
        image_height: usize,
        image_width: usize,
        area: usize,
    ) -> (usize, usize) {
        let [rows, columns] = self.token_pixels();
        let [height, width] = sides(image_height, image_width, area).map(f64::round_ties_even);
        (whole_tokens(height, rows), whole_tokens(width, columns))
    }

    /// Height and width of at most `area` pixels that an image of `image_height` x `image_width` is to
    /// [cover](crate::image::Picture::covering): one side is rounded down to whole tokens, the other fills the area
    /// that is left, and of the two ways the one that keeps the image's proportions better is taken, the one that
    /// begins with the height if they are equal. The rule of Wan 2.2 TI2V. Never less than one token, whatever the
    /// area; a side of 0 counts as 1.
    pub fn size_covered_by(&self, image_height: usize, image_width: usize, area: usize) -> (usize, usize) {
        let [rows, columns] = self.token_pixels();
        let proportions = image_width.max(1) as f64 / image_height.max(1) as f64;
        let area = area as f64;
        let width = (area * proportions).sqrt();
        let by_width = {
            let width = whole_tokens(width, columns);
            (whole_tokens(area / width as f64, rows), width)
        };
        let by_height = {
            let height = whole_tokens(area / width, rows);
            (height, whole_tokens(area / height as f64, columns))
        };
        let distortion = |(height, width): (usize, usize)| {
            let found = width as f64 / height as f64;
            (proportions / found).max(found / proportions)
        };
        if distortion(by_width) < distortion(by_height) { by_width } else { by_height }
    }

    /// Pixel rows and columns per token.
    fn token_pixels(&self) -> [usize; 2] {
        [self.spatial * self.patch[1], self.spatial * self.patch[2]]
    }

    fn check_frames(&self, frames: usize) -> Result<(), LatentError> {
        let (below, above) = self.nearest_frames(frames);
        if frames == below {
            return Ok(());
        }
        Err(LatentError::IllegalFrameCount { frames, stride: self.temporal, below, above })
    }

    fn check_size(&self, height: usize, width: usize) -> Result<(), LatentError> {
        let (near_h, near_w) = self.nearest_size(height, width);
        if (near_h, near_w) == (height, width) {
            return Ok(());
        }
        let [multiple_h, multiple_w] = self.token_pixels();
        Err(LatentError::IllegalSize { height, width, multiple_h, multiple_w, near_h, near_w })
    }
}

impl LatentShape {
    /// `[1, channels, frames, height, width]`.
    pub fn dims(&self) -> [usize; 5] {
        [1, self.channels, self.frames, self.height, self.width]
    }

    /// Values in the latent.
    pub fn elements(&self) -> usize {
        self.dims().iter().product()
    }

    /// Tokens along frames, rows and columns.
    pub fn token_grid(&self, patch: [usize; 3]) -> [usize; 3] {
        [self.frames / patch[0], self.height / patch[1], self.width / patch[2]]
    }

    /// Length of the network's sequence.
    pub fn tokens(&self, patch: [usize; 3]) -> usize {
        self.token_grid(patch).iter().product()
    }
}

/// Height and width of a rectangle of `area` with the proportions of an image, in f64.
fn sides(image_height: usize, image_width: usize, area: usize) -> [f64; 2] {
    let ratio = image_height.max(1) as f64 / image_width.max(1) as f64;
    [(area as f64 * ratio).sqrt(), (area as f64 / ratio).sqrt()]
}

/// The largest multiple of `token` pixels in `length`, at least one.
fn whole_tokens(length: f64, token: usize) -> usize {
    let tokens = (length / token as f64).floor() as usize;
    tokens.clamp(1, usize::MAX / token) * token
}

fn nearest_multiple(value: usize, multiple: usize) -> usize {
    let below = value - value % multiple;
    let nearest = if value % multiple * 2 < multiple { below } else { below.saturating_add(multiple) };
    nearest.max(multiple)
}
