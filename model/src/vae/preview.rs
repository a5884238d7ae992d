//! Colours straight from latents by a linear map, for pictures of a video that is still noise to the decoder's eye.

use burn::prelude::*;

use super::VaeEncoder;
use crate::noise::torch_randn;

/// Clips that a map is fitted to; frames of each.
const CLIPS: u64 = 12;
const FRAMES: usize = 17;
/// Latent rows and columns of a clip.
const SIDE: usize = 12;
/// Fewest shapes of a clip, and how many different numbers of them there are.
const SHAPES: u64 = 2;
const NUMBERS: u64 = 5;
/// Spread of the colours in -1..1, of which a fifth is cut off.
const SPREAD: f32 = 0.8;
/// Of half a shape's width, its mean and spread, and its bounds; of the place in mid-clip; of the way in one frame. In
/// parts of a clip's side.
const WIDTH: [f32; 2] = [0.22, 0.07];
const WIDTHS: [f32; 2] = [0.08, 0.4];
const PLACE: f32 = 0.3;
const WAY: f32 = 0.03;
/// Normal numbers that make a shape: its colour, width, place and way.
const NORMALS: usize = 8;
/// Added to the squared sums of latents of unit variance: their number is in the thousands.
const RIDGE: f64 = 1.0;

/// For each of red, green and blue a weight for each latent channel, and a constant; `rgb[i]` in -1..1.
pub type ColourWeights = Vec<[f32; 3]>;

/// The linear map from normalised latents to colours that fits an autoencoder best. The first latent frame is one
/// frame and any other one several, so each kind has weights of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct LatentColours {
    /// Latent channels, and the constant last.
    pub first: ColourWeights,
    pub rest: ColourWeights,
}

impl LatentColours {
    /// Least squares between the latents that `encoder` makes of shapes that move over a ground and the colours of these
    /// clips, averaged over the pixels of a latent, in the last frame that it stands for. Of the frames of a latent this
    /// is the one that a linear map tells best. Decoded random latents would not do: they lie far from those of any
    /// picture, and a map fitted to them can even turn colours round.
    ///
    /// `pixels` and `frames` are those of a latent along its axes.
    pub fn fit(encoder: &VaeEncoder, [frames, pixels]: [usize; 2], device: &Device) -> Self {
        let (mut first, mut rest) = (LeastSquares::default(), LeastSquares::default());
        for seed in 0..CLIPS {
            let clip = Clip::new(seed, SIDE * pixels);
            let latents = encoder.encode(clip.video(device));
            let [_, channels, times, rows, columns] = latents.dims();
            let values = host(latents);
            for (index, place) in places(times, rows, columns).enumerate() {
                let at = |channel| values[channel * times * rows * columns + index];
                let latent: Vec<f32> = (0..channels).map(at).collect();
                let sums = if place[0] == 0 { &mut first } else { &mut rest };
                sums.add(&latent, clip.colour_under(place, frames, pixels));
            }
        }
        Self { first: first.solve(), rest: rest.solve() }
    }

    /// Latent channels that these weights are for.
    pub fn channels(&self) -> usize {
        self.first.len().saturating_sub(1)
    }

    /// The colours of `[channels, t, rows, columns]`, row by row, red first, in 0..1.
    pub fn colours(&self, latents: &[f32], frames: usize) -> Vec<[f32; 3]> {
        let channels = self.channels();
        let positions = latents.len() / channels.max(1);
        let frame = positions / frames.max(1);
        let colour = |index: usize| {
            let weights = if index < frame { &self.first } else { &self.rest };
            let mut rgb = weights[channels];
            for (channel, weight) in weights[..channels].iter().enumerate() {
                let value = latents[channel * positions + index];
                rgb.iter_mut().zip(weight).for_each(|(sum, weight)| *sum += weight * value);
            }
            rgb.map(|v| ((v + 1.0) * 0.5).clamp(0.0, 1.0))
        };
        (0..positions).map(colour).collect()
    }
}

/// Latent positions `[t, row, column]` in their order in memory.
fn places(times: usize, rows: usize, columns: usize) -> impl Iterator<Item = [usize; 3]> {
    let each = move |t| (0..rows).flat_map(move |row| (0..columns).map(move |column| [t, row, column]));
    (0..times).flat_map(each)
}

fn host(latents: Tensor<5>) -> Vec<f32> {
    // A float tensor converted to f32 has f32 values.
    latents.into_data().convert::<f32>().try_into_vec().unwrap_or_default()
}

/// Discs and squares of random colour that move over a ground: of one colour, or from one to another.
struct Clip {
    side: usize,
    /// At both ends, red first, in -1..1.
    ground: [[f32; 3]; 2],
    /// Along rows and along columns: 1 where the ground changes.
    slope: [f32; 2],
    /// The last one lies on top.
    shapes: Vec<Shape>,
}

/// In pixels and, of these, pixels a frame; down and to the right.
struct Shape {
    round: bool,
    colour: [f32; 3],
    /// From the middle to an edge.
    width: f32,
    /// Of the middle in the middle frame.
    place: [f32; 2],
    way: [f32; 2],
}

impl Clip {
    fn new(seed: u64, side: usize) -> Self {
        let count = (SHAPES + seed % NUMBERS) as usize;
        let values = torch_randn(seed, 6 + count * NORMALS);
        let (ground, shapes) = values.split_at(6);
        let slope = [f32::from(seed % 4 == 1), f32::from(seed % 4 == 3)];
        let shape = |(index, values): (u64, &[f32])| Shape::new(values, (seed + index) % 2 == 1, side as f32);
        let shapes = (0..).zip(shapes.chunks_exact(NORMALS)).map(shape).collect();
        Self { side, ground: [colour(ground), colour(&ground[3..])], slope, shapes }
    }

    /// Colour at a pixel of a frame.
    fn pixel(&self, frame: usize, row: usize, column: usize) -> [f32; 3] {
        let (y, x) = (row as f32 + 0.5, column as f32 + 0.5);
        let along = (y * self.slope[0] + x * self.slope[1]) / self.side as f32;
        let ground = mix(self.ground[0], self.ground[1], along);
        let over = |under, shape: &Shape| mix(under, shape.colour, shape.cover(frame, y, x));
        self.shapes.iter().fold(ground, over)
    }

    /// `[1, 3, FRAMES, side, side]` in -1..1.
    fn video(&self, device: &Device) -> Tensor<5> {
        let side = self.side;
        let mut values = Vec::with_capacity(FRAMES * side * side * 3);
        for [frame, row, column] in places(FRAMES, side, side) {
            values.extend(self.pixel(frame, row, column));
        }
        let video = TensorData::new(values, [1, FRAMES, side, side, 3]);
        Tensor::<5>::from_data(video, device).permute([0, 4, 1, 2, 3])
    }

    /// Mean colour under the latent `[t, row, column]` in its last frame.
    fn colour_under(&self, [t, row, column]: [usize; 3], frames: usize, pixels: usize) -> [f32; 3] {
        let mut sum = [0.0; 3];
        for [_, y, x] in places(1, pixels, pixels) {
            // Frame 0 has a latent frame to itself.
            let colour = self.pixel(t * frames, row * pixels + y, column * pixels + x);
            sum.iter_mut().zip(colour).for_each(|(sum, v)| *sum += v);
        }
        sum.map(|v| v / (pixels * pixels) as f32)
    }
}

impl Shape {
    /// From [`NORMALS`] normal numbers.
    fn new(values: &[f32], round: bool, side: f32) -> Self {
        let width = (WIDTH[0] + WIDTH[1] * values[3]).clamp(WIDTHS[0], WIDTHS[1]) * side;
        let place = [values[4], values[5]].map(|v| (0.5 + PLACE * v) * side);
        let way = [values[6], values[7]].map(|v| v * WAY * side);
        Self { round, colour: colour(values), width, place, way }
    }

    /// How much of a pixel it covers, 0..1.
    fn cover(&self, frame: usize, y: f32, x: f32) -> f32 {
        let time = frame as f32 - (FRAMES / 2) as f32;
        let [dy, dx] = [(y, 0), (x, 1)].map(|(at, axis)| at - self.place[axis] - self.way[axis] * time);
        let distance = if self.round { dy.hypot(dx) } else { dy.abs().max(dx.abs()) };
        (self.width - distance + 0.5).clamp(0.0, 1.0)
    }
}

/// From three normal numbers.
fn colour(values: &[f32]) -> [f32; 3] {
    std::array::from_fn(|i| (values[i] * SPREAD).clamp(-1.0, 1.0))
}

fn mix(a: [f32; 3], b: [f32; 3], part: f32) -> [f32; 3] {
    std::array::from_fn(|i| a[i] + (b[i] - a[i]) * part)
}

/// Sums of products of inputs with each other and with three outputs.
#[derive(Default)]
struct LeastSquares {
    /// Rows of `[inputs | outputs]`.
    rows: Vec<Vec<f64>>,
}

impl LeastSquares {
    fn add(&mut self, inputs: &[f32], outputs: [f32; 3]) {
        let all: Vec<f64> = inputs.iter().copied().chain([1.0]).chain(outputs).map(f64::from).collect();
        let size = inputs.len() + 1;
        if self.rows.is_empty() {
            self.rows = vec![vec![0.0; size + 3]; size];
            (0..inputs.len()).for_each(|i| self.rows[i][i] = RIDGE);
        }
        for (row, &a) in self.rows.iter_mut().zip(&all) {
            row.iter_mut().zip(&all).for_each(|(sum, b)| *sum += a * b);
        }
    }

    /// By elimination; the sums are positive definite, so that no pivot vanishes.
    fn solve(mut self) -> ColourWeights {
        let size = self.rows.len();
        for pivot in 0..size {
            let (above, below) = self.rows.split_at_mut(pivot);
            let Some((own, below)) = below.split_first_mut() else { break };
            let scale = 1.0 / own[pivot];
            own.iter_mut().for_each(|v| *v *= scale);
            for row in above.iter_mut().chain(below) {
                let factor = row[pivot];
                row.iter_mut().zip(own.iter()).for_each(|(v, own)| *v -= factor * own);
            }
        }
        let solution = |row: &Vec<f64>| std::array::from_fn(|i| row[size + i] as f32);
        self.rows.iter().map(solution).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_relation_is_found() {
        let weights = [[0.5, -0.25, 0.125], [0.0, 1.0, -1.0], [0.1, 0.2, 0.3]];
        let mut sums = LeastSquares::default();
        // Many enough that the ridge does not show.
        let inputs = torch_randn(3, 40_000);
        for pair in inputs.chunks(2) {
            let output = |i: usize| pair[0] * weights[0][i] + pair[1] * weights[1][i] + weights[2][i];
            sums.add(pair, [output(0), output(1), output(2)]);
        }
        for (found, expected) in sums.solve().iter().zip(weights) {
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-3, "{found} instead of {expected}");
            }
        }
    }

    #[test]
    fn frames_have_their_own_weights() {
        let first = vec![[2.0, 0.0, 0.0], [-1.0, -1.0, -1.0]];
        let rest = vec![[0.0, 2.0, 0.0], [-1.0, -1.0, -1.0]];
        let map = LatentColours { first, rest };
        assert_eq!(map.channels(), 1);
        // Two frames of one row of two.
        let colours = map.colours(&[0.25, 0.5, 0.75, 9.0], 2);
        assert_eq!(colours, [[0.25, 0.0, 0.0], [0.5, 0.0, 0.0], [0.0, 0.75, 0.0], [0.0, 1.0, 0.0]]);
    }

    #[test]
    fn colours_are_those_of_the_last_frame_under_a_latent() {
        let (side, [frames, pixels]) = (SIDE * 8, [4, 8]);
        let clip = Clip::new(1, side);
        let video = host(clip.video(&Device::flex()));
        let at = |c: usize, t: usize, y: usize, x: usize| video[((c * FRAMES + t) * side + y) * side + x];
        for (t, last) in [(0, 0), (2, 8), (4, 16)] {
            let colour = clip.colour_under([t, 3, 5], frames, pixels);
            for (channel, colour) in colour.into_iter().enumerate() {
                let under = places(1, pixels, pixels).map(|[_, y, x]| at(channel, last, 24 + y, 40 + x));
                let expected = under.sum::<f32>() / (pixels * pixels) as f32;
                assert!((colour - expected).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn shapes_move() {
        let shape = Shape::new(&[1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0], true, 100.0);
        let (middle, width) = (FRAMES / 2, 100.0 * WIDTH[0]);
        assert_eq!([shape.cover(middle, 50.0, 50.0), shape.cover(middle, 51.0 + width, 50.0)], [1.0, 0.0]);
        let way = 4.0 * 100.0 * WAY;
        assert_eq!(shape.cover(middle + 4, 50.0, 50.0 + way - width + 1.0), 1.0);
        assert_eq!(shape.cover(middle + 4, 50.0, 50.0 + way - width - 1.0), 0.0);
    }
}
