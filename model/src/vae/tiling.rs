//! Frames in overlapping tiles, for those that do not fit as a whole.

use std::ops::Range;

use burn::prelude::*;

use super::{
    VaeConfig,
    feature_cache::{FeatureCache, LayerMemory},
};

/// Pixels of video that neighbouring tiles share at least.
const OVERLAP_PIXELS: usize = 64;

/// Tiles that share some of their rows and columns, over which one fades into the next. All are in latent pixels.
///
/// A tile sees nothing beyond itself: neither what a convolution would see there, nor the rest of the frame in the
/// attention of the middle block. So every tile size gives a slightly different video, and only a tile of the whole frame
/// gives the exact one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiling {
    pub rows: usize,
    pub columns: usize,
    /// Rows and columns that neighbours share at least.
    pub overlap: usize,
}

impl Tiling {
    /// The fewest tiles whose [largest tensor](VaeConfig::largest_tensor_bytes) takes at most `bytes`, of frames of
    /// `[rows, columns]` latent pixels; `None` if a whole frame does. No tile has less than twice the overlap, whatever
    /// it takes.
    pub fn for_budget(config: &VaeConfig, [rows, columns]: [usize; 2], bytes: u64) -> Option<Self> {
        let fits = |tile: [usize; 2]| config.largest_tensor_bytes(tile) <= bytes;
        if fits([rows, columns]) {
            return None;
        }
        let overlap = (OVERLAP_PIXELS / config.spatial_factor()).max(1);
        let (mut counts, least) = ([1, 1], 2 * overlap);
        loop {
            let side = |size: usize, count: usize| (size + (count - 1) * overlap).div_ceil(count);
            let tile = [side(rows, counts[0]), side(columns, counts[1])];
            if fits(tile) || tile.iter().all(|&side| side <= least) {
                return Some(Self { rows: tile[0], columns: tile[1], overlap });
            }
            counts[usize::from(tile[1] > tile[0])] += 1;
        }
    }
}

impl Tiling {
    /// `counts` tiles over rows and columns of frames of `[rows, columns]` latent pixels, or fewer where they would have
    /// less than twice the overlap.
    pub fn of_counts(config: &VaeConfig, size: [usize; 2], counts: [usize; 2]) -> Self {
        let overlap = (OVERLAP_PIXELS / config.spatial_factor()).max(1);
        let side = |size: usize, count: usize| {
            let count = count.max(1);
            (size + (count - 1) * overlap).div_ceil(count).max(2 * overlap).min(size.max(1))
        };
        Self { rows: side(size[0], counts[0]), columns: side(size[1], counts[1]), overlap }
    }

    /// Tiles over the rows and over the columns of frames of `[rows, columns]` latent pixels.
    pub fn counts(&self, [rows, columns]: [usize; 2]) -> [usize; 2] {
        [(rows, self.rows), (columns, self.columns)]
            .map(|(size, tile)| spans(size, tile, self.overlap, 1).len())
    }
}

/// One tile along one axis.
#[derive(Clone, Debug, PartialEq)]
struct Span {
    /// In latent pixels.
    range: Range<usize>,
    /// The share in each pixel of the result.
    weights: Vec<f32>,
}

/// The tiles along an axis of `size` latent pixels; the result has `scale` pixels for each. The shares of all tiles in a
/// pixel add up to one.
fn spans(size: usize, tile: usize, overlap: usize, scale: usize) -> Vec<Span> {
    let tile = tile.clamp(1, size.max(1));
    let step = tile - overlap.min(tile - 1);
    let gaps = (size.max(1) - tile).div_ceil(step);
    let start = |n: usize| (n * (size - tile)).checked_div(gaps).unwrap_or(0);
    // Rises over what is shared with the tile before, and falls over what is shared with the next.
    let share = |n: usize, pixel: usize| {
        let (first, end) = (start(n) * scale, (start(n) + tile) * scale);
        if !(first..end).contains(&pixel) {
            return 0.0;
        }
        let from = |edge: usize| pixel.abs_diff(edge) as f32 + 0.5;
        let ramp = |distance: f32, shared: usize| (distance / shared.max(1) as f32).min(1.0);
        let rise = if n == 0 { 1.0 } else { ramp(from(first), (start(n - 1) + tile) * scale - first) };
        let fall = if n == gaps { 1.0 } else { ramp(from(end - 1), end - start(n + 1) * scale) };
        rise.min(fall)
    };
    let weight = |n: usize, pixel: usize| share(n, pixel) / (0..=gaps).map(|n| share(n, pixel)).sum::<f32>();
    let span = |n: usize| {
        let range = start(n)..start(n) + tile;
        let weights = (range.start * scale..range.end * scale).map(|pixel| weight(n, pixel)).collect();
        Span { range, weights }
    };
    (0..=gaps).map(span).collect()
}

/// The tiles of a video and what each remembers of its frames.
pub(super) struct Tiles {
    rows: Vec<Span>,
    columns: Vec<Span>,
    /// Row by row.
    caches: Vec<FeatureCache>,
    scale: [usize; 2],
}

impl Tiles {
    /// Of frames of `[rows, columns]` latent pixels, for a network from `scale[0]` to `scale[1]` pixels for each of them.
    pub fn new(tiling: Option<Tiling>, size: [usize; 2], scale: [usize; 2], half: bool) -> Self {
        let [rows, columns] = size;
        let Tiling { rows: tile_rows, columns: tile_columns, overlap } =
            tiling.unwrap_or(Tiling { rows, columns, overlap: 0 });
        let rows = spans(rows, tile_rows, overlap, scale[1]);
        let columns = spans(columns, tile_columns, overlap, scale[1]);
        let caches = (0..rows.len() * columns.len()).map(|_| FeatureCache::new(half)).collect();
        Self { rows, columns, caches, scale }
    }

    /// What each tile remembers, row by row.
    pub fn memory(&self) -> Vec<Vec<LayerMemory>> {
        self.caches.iter().map(FeatureCache::memory).collect()
    }

    /// The same tiles going on from `memory`; `None` if there are other than so many.
    pub fn remembering(self, memory: Vec<Vec<LayerMemory>>, half: bool) -> Option<Self> {
        let same = memory.len() == self.caches.len();
        let caches = memory.into_iter().map(|tile| FeatureCache::remembering(tile, half)).collect();
        same.then_some(Self { caches, ..self })
    }

    /// What `network` makes of `x`, tile by tile: `[1, c, t, h, w]` to `[1, c', t', h', w']`.
    pub fn map(
        &mut self,
        x: Tensor<5>,
        network: impl Fn(Tensor<5>, &mut FeatureCache) -> Tensor<5>,
    ) -> Tensor<5> {
        if let [cache] = self.caches.as_mut_slice() {
            return network(x, cache);
        }
        let tiles = self.rows.iter().flat_map(|row| self.columns.iter().map(move |column| (row, column)));
        let [from, to] = self.scale;
        let pixels = |span: &Span, scale: usize| span.range.start * scale..span.range.end * scale;
        let mut result: Option<Tensor<5>> = None;
        for ((row, column), cache) in tiles.zip(&mut self.caches) {
            let tile = x.clone().slice_dim(3, pixels(row, from)).slice_dim(4, pixels(column, from));
            let y = network(tile, cache);
            let size =
                [&self.rows, &self.columns].map(|spans| spans.last().map_or(0, |last| last.range.end * to));
            let canvas = result.unwrap_or_else(|| canvas(&y, size));
            result = Some(added(canvas, weighted(y, row, column), [pixels(row, to), pixels(column, to)]));
        }
        result.unwrap_or(x)
    }
}

/// Zeros like `tile` over a whole frame of `[h, w]`.
fn canvas(tile: &Tensor<5>, [h, w]: [usize; 2]) -> Tensor<5> {
    let [b, c, t, _, _] = tile.dims();
    Tensor::zeros([b, c, t, h, w], &tile.device())
}

fn weighted(tile: Tensor<5>, row: &Span, column: &Span) -> Tensor<5> {
    let device = tile.device();
    let along = |span: &Span, shape: [usize; 5]| {
        Tensor::<5>::from_data(TensorData::new(span.weights.clone(), shape), &device)
    };
    let rows = along(row, [1, 1, 1, row.weights.len(), 1]);
    tile * rows * along(column, [1, 1, 1, 1, column.weights.len()])
}

fn added(canvas: Tensor<5>, tile: Tensor<5>, [rows, columns]: [Range<usize>; 2]) -> Tensor<5> {
    let [b, c, t, _, _] = tile.dims();
    let place = [0..b, 0..c, 0..t, rows, columns];
    let sum = canvas.clone().slice(place.clone()) + tile;
    canvas.slice_assign(place, sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_of_every_pixel_add_up_to_one() {
        for (size, tile, overlap, scale) in
            [(60, 32, 8, 8), (61, 17, 5, 1), (9, 4, 3, 2), (5, 9, 2, 4), (7, 1, 3, 1)]
        {
            let spans = spans(size, tile, overlap, scale);
            let mut shares = vec![0f32; size * scale];
            for span in &spans {
                let at = span.range.start * scale;
                span.weights.iter().enumerate().for_each(|(n, w)| shares[at + n] += w);
            }
            assert!(
                shares.iter().all(|share| (share - 1.0).abs() < 1e-6),
                "{size} {tile} {overlap}: {shares:?}"
            );
            let shared = spans.windows(2).map(|pair| pair[0].range.end - pair[1].range.start);
            assert!(shared.min().is_none_or(|shared| shared >= overlap.min(tile - 1)));
        }
    }

    #[test]
    fn a_tile_of_everything_has_all_of_every_pixel() {
        assert_eq!(spans(5, 9, 2, 2), [Span { range: 0..5, weights: vec![1.0; 10] }]);
    }

    #[test]
    fn a_budget_asks_for_no_more_tiles_than_needed() {
        let config = VaeConfig::wan_2_1();
        let size = [90, 160];
        assert_eq!(config.largest_tensor_bytes(size), 2 * 96 * 720 * 1280 * 4);
        assert_eq!(Tiling::for_budget(&config, size, 1 << 30), None);
        let halves = Tiling { rows: 90, columns: 84, overlap: 8 };
        assert_eq!(Tiling::for_budget(&config, size, 512 << 20), Some(halves));
        for megabytes in [32, 64, 100, 200, 300] {
            let tiling = Tiling::for_budget(&config, size, megabytes << 20).expect("a frame does not fit");
            assert!(config.largest_tensor_bytes([tiling.rows, tiling.columns]) <= megabytes << 20);
        }
        let least = Tiling { rows: 16, columns: 16, overlap: 8 };
        assert_eq!(Tiling::for_budget(&config, size, 0), Some(least));
    }
}
