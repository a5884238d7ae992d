//! Small line drawings, as pixels or as SVG.

mod raster;
mod svg;

pub use raster::raster;
pub use svg::svg;

/// Red, green, blue.
pub type Colour = [u8; 3];

/// A drawing on white; places are in pixels from the upper left corner.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawing {
    pub width: u32,
    pub height: u32,
    /// Later ones lie on top.
    pub shapes: Vec<Shape>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// Straight, with round ends.
    Line {
        from: [f64; 2],
        to: [f64; 2],
        width: f64,
        colour: Colour,
    },
    Dot {
        at: [f64; 2],
        radius: f64,
        colour: Colour,
    },
    /// From its left end on; only SVG shows it.
    Text {
        at: [f64; 2],
        text: String,
    },
}
