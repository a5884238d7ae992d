//! Pictures of 8-bit pixels.

use super::{
    Filter, Planes,
    resample::{Scale, resample},
};

/// An RGB picture of 8 bits per channel with at least one pixel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    height: usize,
    width: usize,
    /// `[height, width, 3]`.
    pixels: Vec<u8>,
}

/// What cannot be a picture.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    #[error("a picture of {width}x{height} has no pixels")]
    Empty { height: usize, width: usize },
    #[error("a picture of {width}x{height} does not have {values} values")]
    Length { height: usize, width: usize, values: usize },
}

impl Picture {
    /// A picture of `pixels`: `[height, width, 3]`.
    ///
    /// # Errors
    /// [`PictureError`] if the sizes are zero or do not fit.
    pub fn new(height: usize, width: usize, pixels: Vec<u8>) -> Result<Self, PictureError> {
        check_length(height, width, pixels.len())?;
        Ok(Self { height, width, pixels })
    }

    pub fn height(&self) -> usize {
        self.height
    }

    pub fn width(&self) -> usize {
        self.width
    }

    /// `[height, width, 3]`.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The picture at another size, its proportions not kept, as Pillow's `Image.resize` gives it.
    ///
    /// # Errors
    /// [`PictureError::Empty`] for a size of zero.
    pub fn resized(&self, height: usize, width: usize, filter: Filter) -> Result<Self, PictureError> {
        check_sides(height, width)?;
        let scales = [Scale::whole(self.height, height), Scale::whole(self.width, width)];
        Ok(Self { height, width, pixels: resample(&self.pixels, &scales, filter) })
    }

    /// The middle `side` x `side` pixels after the shorter side became `side`; the rest is never made.
    pub(super) fn square(&self, side: usize, filter: Filter) -> Result<Self, PictureError> {
        check_sides(side, side)?;
        let shorter = self.height.min(self.width);
        let scales = [self.height, self.width].map(|from| {
            let to = (side as u128 * from as u128 / shorter as u128) as usize;
            Scale::middle(from, to, side)
        });
        Ok(Self { height: side, width: side, pixels: resample(&self.pixels, &scales, filter) })
    }

    /// The middle `height` x `width` pixels of the picture scaled, its proportions kept, until it covers them: the
    /// first frame of Wan 2.2 TI2V, as its official code makes it with Pillow's Lanczos filter. What lies outside is
    /// never made.
    ///
    /// # Errors
    /// [`PictureError::Empty`] for a size of zero.
    pub fn covering(&self, height: usize, width: usize) -> Result<Self, PictureError> {
        check_sides(height, width)?;
        let scale = (width as f64 / self.width as f64).max(height as f64 / self.height as f64);
        let scales = [(self.height, height), (self.width, width)].map(|(from, side)| {
            // Halves go to the even length.
            let to = (from as f64 * scale).round_ties_even() as usize;
            Scale::middle(from, to.max(side), side)
        });
        Ok(Self { height, width, pixels: resample(&self.pixels, &scales, Filter::Lanczos) })
    }

    /// The middle `height` x `width` pixels, or all of a side that is no longer than that.
    ///
    /// # Errors
    /// [`PictureError::Empty`] for a size of zero.
    pub fn cropped(&self, height: usize, width: usize) -> Result<Self, PictureError> {
        check_sides(height, width)?;
        let (height, width) = (height.min(self.height), width.min(self.width));
        let (top, left) = ((self.height - height) / 2, (self.width - width) / 2);
        let rows = self.pixels.chunks_exact(self.width * 3).skip(top).take(height);
        let pixels = rows.flat_map(|row| &row[left * 3..(left + width) * 3]).copied().collect();
        Ok(Self { height, width, pixels })
    }

    /// The largest middle part with the proportions of `height` x `width`, to the nearest pixel: what makes a last
    /// frame of other proportions fit the first.
    ///
    /// # Errors
    /// [`PictureError::Empty`] for a size of zero.
    pub fn cropped_to_proportions(&self, height: usize, width: usize) -> Result<Self, PictureError> {
        check_sides(height, width)?;
        let scale = (self.height as f64 / height as f64).min(self.width as f64 / width as f64);
        let side = |length: usize| ((length as f64 * scale).round() as usize).max(1);
        self.cropped(side(height), side(width))
    }

    /// Values from 0 to 255 as -1 to 1.
    pub fn planes(&self) -> Planes {
        // Rounded like a division of f32 and an exact doubling, in both references.
        Planes::of(self, |value, _| (f32::from(value) / 255.0 - 0.5) / 0.5)
    }
}

pub(super) fn check_length(height: usize, width: usize, values: usize) -> Result<(), PictureError> {
    check_sides(height, width)?;
    let expected = height.checked_mul(width).and_then(|pixels| pixels.checked_mul(3));
    match expected == Some(values) {
        true => Ok(()),
        false => Err(PictureError::Length { height, width, values }),
    }
}

pub(super) fn check_sides(height: usize, width: usize) -> Result<(), PictureError> {
    if height == 0 || width == 0 { Err(PictureError::Empty { height, width }) } else { Ok(()) }
}
