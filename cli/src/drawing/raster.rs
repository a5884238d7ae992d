//! A drawing as pixels, with smooth edges.

use image::{Rgb, RgbImage};

use super::{Colour, Drawing, Shape};

/// Draws everything but text.
pub fn raster(drawing: &Drawing) -> RgbImage {
    let mut image = RgbImage::from_pixel(drawing.width, drawing.height, Rgb([255; 3]));
    for shape in &drawing.shapes {
        match shape {
            Shape::Line { from, to, width, colour } => stroke(&mut image, *from, *to, width / 2.0, *colour),
            Shape::Dot { at, radius, colour } => stroke(&mut image, *at, *at, *radius, *colour),
            Shape::Text { .. } => {}
        }
    }
    image
}

/// Colours what is within `radius` of a line; half a pixel around the edge is mixed.
fn stroke(image: &mut RgbImage, from: [f64; 2], to: [f64; 2], radius: f64, colour: Colour) {
    let reach = radius + 1.0;
    let span = |axis: usize, side: u32| {
        let low = (from[axis].min(to[axis]) - reach).floor().clamp(0.0, side.into());
        let high = (from[axis].max(to[axis]) + reach).ceil().clamp(0.0, side.into());
        low as u32..high as u32
    };
    for y in span(1, image.height()) {
        for x in span(0, image.width()) {
            let away = distance([f64::from(x) + 0.5, f64::from(y) + 0.5], from, to);
            let cover = (radius + 0.5 - away).clamp(0.0, 1.0);
            let Rgb(pixel) = image.get_pixel_mut(x, y);
            for (old, new) in pixel.iter_mut().zip(colour) {
                *old = (f64::from(*old) * (1.0 - cover) + f64::from(new) * cover).round() as u8;
            }
        }
    }
}

/// From a point to a line between two others.
fn distance(point: [f64; 2], from: [f64; 2], to: [f64; 2]) -> f64 {
    let [along, offset] = [[to[0] - from[0], to[1] - from[1]], [point[0] - from[0], point[1] - from[1]]];
    let square = along[0] * along[0] + along[1] * along[1];
    let dot = along[0] * offset[0] + along[1] * offset[1];
    let part = if square > 0.0 { (dot / square).clamp(0.0, 1.0) } else { 0.0 };
    (offset[0] - part * along[0]).hypot(offset[1] - part * along[1])
}
