//! Pictures as planes of f32.

use burn::prelude::*;

use super::{
    Picture, PictureError,
    bicubic::bicubic,
    picture::{check_length, check_sides},
};

/// The red, green and blue plane of a picture with at least one pixel.
#[derive(Clone, Debug, PartialEq)]
pub struct Planes {
    height: usize,
    width: usize,
    /// `[3, height, width]`.
    values: Vec<f32>,
}

impl Planes {
    /// Planes of `values`: `[3, height, width]`.
    ///
    /// # Errors
    /// [`PictureError`] if the sizes are zero or do not fit.
    pub fn new(height: usize, width: usize, values: Vec<f32>) -> Result<Self, PictureError> {
        check_length(height, width, values.len())?;
        Ok(Self { height, width, values })
    }

    /// The planes of `picture`, each byte mapped by `value`, which also gets its channel.
    pub(super) fn of(picture: &Picture, value: impl Fn(u8, usize) -> f32) -> Self {
        let channel = |c: usize| picture.pixels().iter().skip(c).step_by(3).map(move |&byte| (byte, c));
        let values = (0..3).flat_map(channel).map(|(byte, c)| value(byte, c)).collect();
        Self { height: picture.height(), width: picture.width(), values }
    }

    pub fn height(&self) -> usize {
        self.height
    }

    pub fn width(&self) -> usize {
        self.width
    }

    /// `[3, height, width]`.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The picture at another size, its proportions not kept, as torch's `interpolate` with `mode="bicubic"` and
    /// `align_corners=False` gives it: four taps a side however far it shrinks, so that fine detail aliases.
    ///
    /// # Errors
    /// [`PictureError::Empty`] for a size of zero.
    pub fn resized(&self, height: usize, width: usize) -> Result<Self, PictureError> {
        check_sides(height, width)?;
        let plane = self.values.chunks_exact(self.height * self.width);
        let values = plane.flat_map(|plane| bicubic(plane, [self.height, self.width], [height, width]));
        Ok(Self { height, width, values: values.collect() })
    }

    /// Each value mapped by `value`, which also gets its channel.
    pub(super) fn map(mut self, value: impl Fn(f32, usize) -> f32) -> Self {
        for (c, plane) in self.values.chunks_exact_mut(self.height * self.width).enumerate() {
            plane.iter_mut().for_each(|v| *v = value(*v, c));
        }
        self
    }

    /// `[1, 3, height, width]` in f32.
    pub fn tensor(&self, device: &Device) -> Tensor<4> {
        let shape = [1, 3, self.height, self.width];
        Tensor::from_data(TensorData::new(self.values.clone(), shape), device)
    }
}
