//! Colours straight from latents by a linear map, for pictures of a video that is still noise to the decoder's eye.

use burn::prelude::*;

use super::VaeEncoder;
use crate::noise::torch_randn;

/// Clips that a map is fitted to; frames of each.
const CLIPS: u64 = 8;
const FRAMES: usize = 9;
/// Latent rows and columns of a clip.
const SIDE: usize = 8;
/// Colours along a side of a clip.
const COLOURS: usize = 4;
/// Spread of the colours in -1..1, of which a third is cut off.
const SPREAD: f32 = 0.8;
/// Added to the squared sums of latents of unit variance: their number is in the hundreds.
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
    /// Least squares between the latents that `encoder` makes of moving patches of random colour and these colours,
    /// averaged over the pixels and frames of a latent. Decoded random latents would not do: they lie far from those
    /// of any picture, and a map fitted to them can even turn colours round.
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
                sums.add(&latent, clip.mean(place, frames, pixels));
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

/// Patches of random colour that move over a square: with hard edges or, in every other clip, with soft ones.
struct Clip {
    /// `[COLOURS, COLOURS, 3]` in -1..1; repeats in both directions.
    colours: Vec<f32>,
    soft: bool,
    side: usize,
    /// Pixels a frame, down and to the right.
    speed: [f32; 2],
}

impl Clip {
    fn new(seed: u64, side: usize) -> Self {
        let values = torch_randn(seed, COLOURS * COLOURS * 3 + 2);
        let (colours, speed) = values.split_at(COLOURS * COLOURS * 3);
        let colours = colours.iter().map(|v| (v * SPREAD).clamp(-1.0, 1.0)).collect();
        let step = side as f32 / (SIDE * COLOURS) as f32;
        Self { colours, soft: seed % 2 == 1, side, speed: [speed[0] * step, speed[1] * step] }
    }

    /// Colour at a pixel of a frame.
    fn pixel(&self, frame: usize, row: usize, column: usize) -> [f32; 3] {
        let along = |pixel: usize, speed: f32| {
            (pixel as f32 + speed * frame as f32) * COLOURS as f32 / self.side as f32
        };
        let (y, x) = (along(row, self.speed[0]), along(column, self.speed[1]));
        let patch = |dy: f32, dx: f32| {
            let wrap = |v: f32| v.floor().rem_euclid(COLOURS as f32) as usize;
            let at = (wrap(y + dy) * COLOURS + wrap(x + dx)) * 3;
            [self.colours[at], self.colours[at + 1], self.colours[at + 2]]
        };
        if !self.soft {
            return patch(0.0, 0.0);
        }
        let (v, u) = (y - y.floor(), x - x.floor());
        let mix = |a: [f32; 3], b: [f32; 3], part: f32| -> [f32; 3] {
            std::array::from_fn(|i| a[i] + (b[i] - a[i]) * part)
        };
        mix(mix(patch(0.0, 0.0), patch(0.0, 1.0), u), mix(patch(1.0, 0.0), patch(1.0, 1.0), u), v)
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

    /// Mean colour under the latent `[t, row, column]`.
    fn mean(&self, [t, row, column]: [usize; 3], frames: usize, pixels: usize) -> [f32; 3] {
        // Frame 0 has a latent frame to itself.
        let from = if t == 0 { 0 } else { 1 + (t - 1) * frames };
        let count = if t == 0 { 1 } else { frames };
        let mut sum = [0.0; 3];
        for [frame, y, x] in places(count, pixels, pixels) {
            let colour = self.pixel(from + frame, row * pixels + y, column * pixels + x);
            sum.iter_mut().zip(colour).for_each(|(sum, v)| *sum += v);
        }
        sum.map(|v| v / (count * pixels * pixels) as f32)
    }
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
    fn means_are_those_of_the_video() {
        let (clip, [frames, pixels]) = (Clip::new(1, 64), [4, 8]);
        let video = host(clip.video(&Device::flex()));
        let at = |c: usize, t: usize, y: usize, x: usize| video[((c * FRAMES + t) * 64 + y) * 64 + x];
        let mean = clip.mean([2, 3, 5], frames, pixels);
        for (channel, mean) in mean.into_iter().enumerate() {
            let under = places(frames, pixels, pixels).map(|[t, y, x]| at(channel, 5 + t, 24 + y, 40 + x));
            let expected = under.sum::<f32>() / (frames * pixels * pixels) as f32;
            assert!((mean - expected).abs() < 1e-5);
        }
    }
}
