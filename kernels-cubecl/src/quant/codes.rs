//! The published code books: bitsandbytes' NormalFloat of four bits, and its dynamic map of eight.

use super::kernel::codes::BOOK;

/// The values of the 16 codes of nf4.
pub const NF4: [f32; 16] = BOOK;

/// Between each code of nf4 and the next: what is greater is the next one's. Published beside the codes.
#[expect(clippy::excessive_precision, reason = "as published")]
const NF4_BOUNDS: [f32; 15] = [
    -0.8480964004993439,
    -0.6106329262256622,
    -0.4599952697753906,
    -0.33967943489551544,
    -0.23460740596055984,
    -0.13791173323988914,
    -0.045525018125772476,
    0.03979014977812767,
    0.1202552504837513,
    0.2035212516784668,
    0.2920137718319893,
    0.3893125355243683,
    0.5016634166240692,
    0.6427869200706482,
    0.8614784181118011,
];

/// The code whose value is nearest to `x`, which lies within -1 and 1.
pub(super) fn nf4_code(x: f32) -> u8 {
    // Counting vectorises; a search does not.
    NF4_BOUNDS.iter().map(|&bound| u8::from(x > bound)).sum()
}

/// Values of [`dynamic_map`].
pub const DYNAMIC_MAP_LEN: usize = 256;

/// Powers of ten that the dynamic map spans.
const DECADES: i32 = 7;

/// bitsandbytes' signed dynamic map of eight bits, in order: zero, one, and for each of seven powers of ten from 10^-6
/// on the middles of 1, 2, 4 and so on parts of equal width between a tenth of it and itself, of either sign.
pub fn dynamic_map() -> Vec<f32> {
    let mut map = vec![0.0, 1.0];
    for decade in 0..DECADES {
        let parts = 1 << decade;
        let scale = 10f64.powi(decade + 1 - DECADES) as f32;
        let bounds: Vec<f32> = (0..=parts).map(|at| bound(at, parts)).collect();
        for pair in bounds.windows(2) {
            let middle = (pair[0] + pair[1]) / 2.0 * scale;
            map.extend([middle, -middle]);
        }
    }
    map.sort_by(f32::total_cmp);
    map
}

/// Number `at` of `parts + 1` bounds from 0.1 to 1 at equal distances, as PyTorch's `linspace` rounds them: each half
/// is counted from its own end.
fn bound(at: usize, parts: usize) -> f32 {
    let step = (1.0 - 0.1f32) / parts as f32;
    match at < parts.div_ceil(2) {
        true => step.mul_add(at as f32, 0.1),
        false => (-step).mul_add((parts - at) as f32, 1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_nearest_on_either_side_of_each_bound() {
        for (code, bound) in NF4_BOUNDS.into_iter().enumerate() {
            assert_eq!(usize::from(nf4_code(bound)), code);
            assert_eq!(usize::from(nf4_code(bound.next_up())), code + 1);
            let middle = (NF4[code] + NF4[code + 1]) / 2.0;
            assert!((bound - middle).abs() < 1e-6, "{bound} between {code} and the next");
        }
        for (code, value) in NF4.into_iter().enumerate() {
            assert_eq!(usize::from(nf4_code(value)), code);
        }
    }

    #[test]
    fn the_dynamic_map_is_symmetric_but_for_its_ends() {
        let map = dynamic_map();
        assert_eq!(map.len(), DYNAMIC_MAP_LEN);
        assert!(map.is_sorted_by(|a, b| a < b));
        assert_eq!((map[127], map[255]), (0.0, 1.0));
        assert!((0..127).all(|k| map[k] == -map[254 - k]));
    }
}
