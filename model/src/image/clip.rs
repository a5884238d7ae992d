//! What the CLIP image encoder sees of a picture.

use super::{Filter, Picture, PictureError, Planes};

/// Of each channel, over the pictures CLIP was trained on.
const MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const STD: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];

/// As the official code: all of the picture, from -1 to 1, squeezed into `size` x `size` pixels and normalised.
///
/// # Errors
/// [`PictureError::Empty`] for a size of zero.
pub fn clip_planes(picture: &Planes, size: usize) -> Result<Planes, PictureError> {
    let square = picture.resized(size, size)?;
    Ok(square.map(|value, c| normalised(value * 0.5 + 0.5, c)))
}

/// As diffusers with transformers' Pillow processor: the shorter side becomes `size`, the middle is cut out and
/// normalised.
///
/// # Errors
/// [`PictureError::Empty`] for a size of zero.
pub fn clip_planes_diffusers(picture: &Picture, size: usize) -> Result<Planes, PictureError> {
    let square = picture.square(size, Filter::Bicubic)?;
    // The division by 255 is a product with its rounded inverse there, in f64.
    Ok(Planes::of(&square, |byte, c| normalised((f64::from(byte) * (1.0 / 255.0)) as f32, c)))
}

/// `value` from 0 to 1.
fn normalised(value: f32, channel: usize) -> f32 {
    (value - MEAN[channel]) / STD[channel]
}
