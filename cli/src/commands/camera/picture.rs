//! A camera path from above and from the side, as the first camera has its axes.

use crate::{
    drawing::{Colour, Drawing, Shape},
    engine::camera::{Pose, relative_to_first},
};

/// Pixels of a view's sides, and what is kept free around it.
const SIDE: f64 = 440.0;
const MARGIN: f64 = 40.0;

/// Pixels of a viewing direction that lies in the picture's plane.
const ARROW: f64 = 26.0;

/// Pixels between a view's edge and what is drawn.
const FREE: f64 = 6.0;

/// How many viewing directions are drawn, and how many points of the path.
const ARROWS: usize = 24;
const POINTS: usize = 2000;

const FRAME: Colour = [208, 208, 208];
const PATH: Colour = [96, 96, 96];
const START: Colour = [31, 119, 180];
const END: Colour = [214, 39, 40];

/// A drawing, and the length of the bar in it unless nothing moves.
pub struct Picture {
    pub drawing: Drawing,
    pub bar: Option<f64>,
}

/// A view's axes: what of x, y, z goes right and what goes up.
#[derive(Clone, Copy)]
struct View {
    title: &'static str,
    project: fn([f64; 3]) -> [f64; 2],
    /// Left edge in pixels.
    left: f64,
}

const VIEWS: [View; 2] = [
    View { title: "from above, forward is up", project: |[x, _, z]| [x, z], left: MARGIN },
    View {
        title: "from the side, forward is right",
        project: |[_, y, z]| [z, -y],
        left: 2.0 * MARGIN + SIDE,
    },
];

/// Draws a path of at least one pose; early viewing directions are blue, late ones red.
pub fn draw(poses: &[Pose]) -> Picture {
    let poses = relative_to_first(poses);
    let extent = VIEWS.iter().map(|view| extent(&bounds(view, &poses))).fold(0.0, f64::max);
    let scale = if extent > 0.0 { (SIDE - 2.0 * (ARROW + FREE)) / extent } else { 0.0 };
    let bar = (extent > 0.0).then(|| round_length(extent / 4.0));
    let mut shapes = Vec::new();
    for view in VIEWS {
        frame(&mut shapes, view);
        trace(&mut shapes, &poses, &Plane::new(view, &poses, scale));
    }
    if let Some(length) = bar {
        let [left, y] = [MARGIN + 10.0, MARGIN + SIDE - 10.0];
        let to = [left + length * scale, y];
        shapes.push(Shape::Line { from: [left, y], to, width: 3.0, colour: PATH });
        shapes.push(Shape::Text { at: [left, y - 8.0], text: length.to_string() });
    }
    let [width, height] = [(3.0 * MARGIN + 2.0 * SIDE) as u32, (2.0 * MARGIN + SIDE) as u32];
    Picture { drawing: Drawing { width, height, shapes }, bar }
}

/// From the path's units to pixels, its middle in the view's middle.
struct Plane {
    view: View,
    middle: [f64; 2],
    scale: f64,
}

impl Plane {
    fn new(view: View, poses: &[Pose], scale: f64) -> Self {
        let middle = bounds(&view, poses).map(|[low, high]| (low + high) / 2.0);
        Self { view, middle, scale }
    }

    fn place(&self, position: [f64; 3]) -> [f64; 2] {
        let [right, up] = (self.view.project)(position);
        let centre = [self.view.left + SIDE / 2.0, MARGIN + SIDE / 2.0];
        [centre[0] + (right - self.middle[0]) * self.scale, centre[1] - (up - self.middle[1]) * self.scale]
    }
}

/// Lowest and highest place along a view's two axes.
fn bounds(view: &View, poses: &[Pose]) -> [[f64; 2]; 2] {
    let places = poses.iter().map(|pose| (view.project)(pose.position));
    places.fold([[f64::INFINITY, f64::NEG_INFINITY]; 2], |bounds, place| {
        std::array::from_fn(|axis| [bounds[axis][0].min(place[axis]), bounds[axis][1].max(place[axis])])
    })
}

fn extent(bounds: &[[f64; 2]; 2]) -> f64 {
    bounds.iter().map(|[low, high]| high - low).fold(0.0, f64::max)
}

/// 1, 2 or 5 times a power of ten, at most `length`.
fn round_length(length: f64) -> f64 {
    let power = 10f64.powi(length.log10().floor() as i32);
    let digit = [5.0, 2.0, 1.0].into_iter().find(|digit| digit * power <= length).unwrap_or(1.0);
    // Without the digits that the product's rounding leaves.
    format!("{:.0e}", digit * power).parse().unwrap_or(digit * power)
}

fn frame(shapes: &mut Vec<Shape>, view: View) {
    let [left, right, top, bottom] = [view.left, view.left + SIDE, MARGIN, MARGIN + SIDE];
    let corners = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]];
    shapes.extend(corners.windows(2).map(|pair| line(pair[0], pair[1], 1.0, FRAME)));
    shapes.push(Shape::Text { at: [left, top - 12.0], text: view.title.to_owned() });
}

fn trace(shapes: &mut Vec<Shape>, poses: &[Pose], plane: &Plane) {
    let points: Vec<_> = spread(poses.len(), POINTS).map(|i| plane.place(poses[i].position)).collect();
    shapes.extend(points.windows(2).map(|pair| line(pair[0], pair[1], 1.5, PATH)));
    for index in spread(poses.len(), ARROWS) {
        let (at, pose) = (plane.place(poses[index].position), &poses[index]);
        let [right, up] = (plane.view.project)(pose.forward());
        let colour = mix(index as f64 / (poses.len() - 1).max(1) as f64);
        shapes.push(line(at, [at[0] + right * ARROW, at[1] - up * ARROW], 2.0, colour));
        shapes.push(Shape::Dot { at, radius: 3.0, colour });
    }
    for (index, colour) in [(0, START), (poses.len() - 1, END)] {
        shapes.push(Shape::Dot { at: plane.place(poses[index].position), radius: 5.0, colour });
    }
}

/// At most `count` indices below `length`, evenly spaced, the first and the last among them.
fn spread(length: usize, count: usize) -> impl Iterator<Item = usize> {
    let (last, gaps) = (length - 1, length.min(count).max(2) - 1);
    (0..=gaps).map(move |i| i * last / gaps)
}

fn line(from: [f64; 2], to: [f64; 2], width: f64, colour: Colour) -> Shape {
    Shape::Line { from, to, width, colour }
}

fn mix(part: f64) -> Colour {
    std::array::from_fn(|i| (f64::from(START[i]) * (1.0 - part) + f64::from(END[i]) * part) as u8)
}
