//! Long work cut into short dispatches, and cube counts folded under a device's limits: pure arithmetic.

use std::ops::Range;

use crate::DeviceCaps;

/// A GPU watchdog ends a dispatch after about two seconds; half a second leaves room for a slow part.
pub const DISPATCH_SECONDS: f64 = 0.5;

/// What the slowest device in mind does in a second: 3 TFLOPS at three tenths of its peak.
pub const FLOPS_PER_SECOND: f64 = 0.3 * 3e12;

/// And what it moves: half of a 60 GB/s memory.
pub const BYTES_PER_SECOND: f64 = 0.5 * 60e9;

/// WebGPU's guaranteed cube count per dimension, held to everywhere so that one count is right everywhere.
pub const MAX_CUBES_PER_DIMENSION: u32 = 65_535;

/// How many times as much a device with matrix units does in a second, by them.
pub const MATRIX_GAIN: f64 = 20.0;

/// What one item of a launch costs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    pub flops: f64,
    /// Read and written.
    pub bytes: f64,
}

impl Work {
    /// Seconds on the slowest device in mind, where arithmetic and memory overlap.
    pub fn seconds(&self) -> f64 {
        (self.flops / FLOPS_PER_SECOND).max(self.bytes / BYTES_PER_SECOND)
    }
}

/// The most items, at least one, that one dispatch may work on for [`DISPATCH_SECONDS`].
pub fn items_per_dispatch(item: Work) -> usize {
    let items = DISPATCH_SECONDS / item.seconds();
    // A float beyond the range of usize, infinity included, becomes the largest usize.
    (items as usize).max(1)
}

/// `0..items` in consecutive ranges of at most `most` items, the last one shorter; none without items.
///
/// # Panics
/// If `most` is 0.
pub fn ranges(items: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    assert!(most > 0, "a range holds at least one item");
    (0..items).step_by(most).map(move |start| start..start.saturating_add(most).min(items))
}

/// The ranges of items, one launch each, that neither run into a watchdog nor exceed the cube count: `item` is one
/// cube's work.
pub fn launches(items: usize, item: Work, caps: &DeviceCaps) -> impl Iterator<Item = Range<usize>> {
    let cubes = usize::try_from(max_cubes(caps.max_cube_count)).unwrap_or(usize::MAX);
    ranges(items, items_per_dispatch(item).min(cubes))
}

/// The most rows of `row_bytes` that fit one storage binding; 0 if one row does not.
pub fn rows_per_binding(row_bytes: u64, caps: &DeviceCaps) -> usize {
    usize::try_from(caps.max_binding_bytes / row_bytes.max(1)).unwrap_or(usize::MAX)
}

/// `cubes` folded over three dimensions of at most `limit` each, with as few idle cubes as dividing evenly allows;
/// `None` if they do not fit. A kernel counts by `CUBE_POS` and stops at the number of cubes it was told.
pub fn cube_count(cubes: u64, limit: [u32; 3]) -> Option<[u32; 3]> {
    let [x_max, y_max, _] = limit.map(held);
    if cubes > max_cubes(limit) {
        return None;
    }
    let cubes = cubes.max(1);
    let z = cubes.div_ceil(x_max * y_max);
    let layer = cubes.div_ceil(z);
    let y = layer.div_ceil(x_max);
    let x = layer.div_ceil(y);
    let narrow = |n: u64| u32::try_from(n).ok();
    Some([narrow(x)?, narrow(y)?, narrow(z)?])
}

fn held(limit: u32) -> u64 {
    u64::from(limit.min(MAX_CUBES_PER_DIMENSION))
}

fn max_cubes(limit: [u32; 3]) -> u64 {
    // Never above 65,535³, which fits.
    limit.map(held).iter().product()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEB: [u32; 3] = [MAX_CUBES_PER_DIMENSION; 3];

    #[test]
    fn ranges_cover_every_item_once() {
        for (items, most) in [(0, 1), (1, 1), (7, 3), (9, 3), (5, 100), (3, usize::MAX)] {
            let mut next = 0;
            for range in ranges(items, most) {
                assert_eq!(range.start, next);
                assert!(!range.is_empty() && range.len() <= most);
                next = range.end;
            }
            assert_eq!(next, items);
        }
    }

    #[test]
    fn cube_counts_hold_all_cubes_within_the_limits() {
        for cubes in [1, 2, 65_535, 65_536, 100_000, 65_535 * 65_535, 65_535 * 65_535 + 1] {
            let [x, y, z] = cube_count(cubes, WEB).expect("within the limits");
            let held: u64 = [x, y, z].iter().map(|&n| u64::from(n)).product();
            assert!(
                held >= cubes && held - cubes < u64::from(y) * u64::from(z) + u64::from(x) * u64::from(y)
            );
            assert!([x, y, z].iter().all(|&n| (1..=MAX_CUBES_PER_DIMENSION).contains(&n)));
        }
        assert_eq!(cube_count(65_535, WEB), Some([65_535, 1, 1]));
        assert_eq!(cube_count(65_536, WEB), Some([32_768, 2, 1]));
        assert_eq!(cube_count(0, WEB), Some([1, 1, 1]));
        assert_eq!(cube_count(9, [2, 2, 2]), None);
        assert_eq!(cube_count(u64::MAX, [u32::MAX; 3]), None);
    }

    #[test]
    fn dispatches_stay_under_half_a_second() {
        // Attention at L = 75,600 with 40 heads of 128: 64 query rows of a head to a cube.
        let row_block = Work { flops: 64.0 * 75_600.0 * 128.0 * 4.0, bytes: 75_600.0 * 128.0 * 4.0 };
        let most = items_per_dispatch(row_block);
        assert!(most as f64 * row_block.seconds() <= DISPATCH_SECONDS);
        assert!(ranges(40 * 75_600_usize.div_ceil(64), most).count() > 100);
        assert_eq!(items_per_dispatch(Work { flops: 1e18, bytes: 0.0 }), 1);
        assert_eq!(items_per_dispatch(Work::default()), usize::MAX);
    }
}
