//! A drawing as SVG.

use super::{Colour, Drawing, Shape};

/// The whole document.
pub fn svg(drawing: &Drawing) -> String {
    let Drawing { width, height, shapes } = drawing;
    let shapes: String = shapes.iter().map(element).collect();
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"14\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n{shapes}</svg>\n"
    )
}

fn element(shape: &Shape) -> String {
    match shape {
        Shape::Line { from: [x1, y1], to: [x2, y2], width, colour } => format!(
            "<line x1=\"{x1:.2}\" y1=\"{y1:.2}\" x2=\"{x2:.2}\" y2=\"{y2:.2}\" stroke=\"{}\" \
             stroke-width=\"{width}\" stroke-linecap=\"round\"/>\n",
            hex(*colour)
        ),
        Shape::Dot { at: [x, y], radius, colour } => {
            format!("<circle cx=\"{x:.2}\" cy=\"{y:.2}\" r=\"{radius}\" fill=\"{}\"/>\n", hex(*colour))
        }
        Shape::Text { at: [x, y], text } => {
            format!("<text x=\"{x:.2}\" y=\"{y:.2}\">{}</text>\n", escape(text))
        }
    }
}

fn hex([red, green, blue]: Colour) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
