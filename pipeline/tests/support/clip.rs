//! Looks at a clip of one shape on a plain background: its colour, and where it goes.

/// Frames `[n, side, side, 3]` in 0..1.
pub struct Clip<'a> {
    pub values: &'a [f32],
    pub side: usize,
}

/// Names and values of the colours that the demo model knows.
const COLOURS: [(&str, [f32; 3]); 6] = [
    ("red", [222.0, 42.0, 38.0]),
    ("green", [46.0, 176.0, 66.0]),
    ("blue", [44.0, 92.0, 232.0]),
    ("yellow", [244.0, 214.0, 40.0]),
    ("purple", [150.0, 54.0, 200.0]),
    ("white", [244.0, 244.0, 244.0]),
];
/// Eighths of a turn, clockwise from the right.
const DIRECTIONS: [&str; 8] =
    ["right", "down-right", "down", "down-left", "left", "up-left", "up", "up-right"];
/// Largest difference of a channel from the background's that still counts as background.
const BACKGROUND: f32 = 0.2;
/// Shortest path, in parts of the side, that is a movement.
const SHORTEST: f32 = 0.15;
/// Fewest pixels of a shape in a frame.
const FEWEST: usize = 20;

/// What moves in a clip.
#[derive(Debug, PartialEq)]
pub struct Seen {
    pub colour: Option<&'static str>,
    pub direction: Option<&'static str>,
}

/// A pixel that is no background.
struct Pixel {
    frame: usize,
    x: f32,
    y: f32,
    rgb: [f32; 3],
    distance: f32,
}

impl Clip<'_> {
    pub fn look(&self) -> Seen {
        let pixels = self.foreground();
        if pixels.len() < FEWEST * self.frames() {
            return Seen { colour: None, direction: None };
        }
        Seen { colour: Some(colour(&pixels)), direction: self.direction(&pixels) }
    }

    fn frames(&self) -> usize {
        self.values.len() / (self.side * self.side * 3)
    }

    fn pixels(&self) -> impl Iterator<Item = Pixel> + '_ {
        let side = self.side;
        self.values.chunks_exact(3).enumerate().map(move |(index, rgb)| Pixel {
            frame: index / (side * side),
            x: (index % side) as f32 / side as f32,
            y: (index / side % side) as f32 / side as f32,
            rgb: [rgb[0], rgb[1], rgb[2]],
            distance: 0.0,
        })
    }

    /// Every pixel that differs from the median of the clip's upper and lower rim.
    fn foreground(&self) -> Vec<Pixel> {
        let inside = 3.0 / self.side as f32;
        let rim: Vec<_> = self.pixels().filter(|p| p.y < inside || p.y >= 1.0 - inside).collect();
        let ground = median(&rim);
        let distance = |p: &Pixel| (0..3).map(|c| (p.rgb[c] - ground[c]).abs()).fold(0.0, f32::max);
        let pixels = self.pixels().map(|p| Pixel { distance: distance(&p), ..p });
        pixels.filter(|p| p.distance > BACKGROUND).collect()
    }

    /// From the mean place in the first quarter of the clip to that in the last.
    fn direction(&self, pixels: &[Pixel]) -> Option<&'static str> {
        let quarter = self.frames() / 4;
        let first = centre(pixels.iter().filter(|p| p.frame < quarter))?;
        let last = centre(pixels.iter().filter(|p| p.frame >= self.frames() - quarter))?;
        let (dx, dy) = (last.0 - first.0, last.1 - first.1);
        let eighth = (dy.atan2(dx) / std::f32::consts::FRAC_PI_4).round() as i32;
        (dx.hypot(dy) >= SHORTEST).then(|| DIRECTIONS[eighth.rem_euclid(8) as usize])
    }
}

/// The named colour nearest to the pixels that differ most from the background.
fn colour(pixels: &[Pixel]) -> &'static str {
    let mut distances: Vec<f32> = pixels.iter().map(|p| p.distance).collect();
    distances.sort_by(f32::total_cmp);
    let bound = 0.8 * distances[distances.len() * 9 / 10];
    let core: Vec<_> = pixels.iter().filter(|p| p.distance > bound).collect();
    let rgb = median(&core);
    let off = |named: &[f32; 3]| (0..3).map(|c| (rgb[c] * 255.0 - named[c]).abs()).sum::<f32>();
    let nearest = COLOURS.iter().min_by(|a, b| off(&a.1).total_cmp(&off(&b.1)));
    nearest.map_or("", |(name, _)| name)
}

fn median<P: std::borrow::Borrow<Pixel>>(pixels: &[P]) -> [f32; 3] {
    [0, 1, 2].map(|channel| {
        let mut values: Vec<f32> = pixels.iter().map(|p| p.borrow().rgb[channel]).collect();
        values.sort_by(f32::total_cmp);
        values[values.len() / 2]
    })
}

/// Mean place, weighted by the distance from the background.
fn centre<'a>(pixels: impl Iterator<Item = &'a Pixel>) -> Option<(f32, f32)> {
    let add =
        |(n, x, y): (f32, f32, f32), p: &Pixel| (n + p.distance, x + p.distance * p.x, y + p.distance * p.y);
    let (n, x, y) = pixels.fold((0.0, 0.0, 0.0), add);
    (n > 0.0).then(|| (x / n, y / n))
}
