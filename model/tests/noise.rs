//! Host noise against `torch.randn`.

use testkit::Golden;
use wan_model::torch_randn;

const SEEDS: [u64; 8] =
    [0, 1, 42, 1 << 31, (1 << 32) + 5, i64::MAX as u64, 0xdead_beef_cafe_babe, 0xffff_ffff_ffff_fffb];

/// Lengths stored whole.
const LENGTHS: [usize; 8] = [1, 7, 15, 16, 17, 31, 100, 4097];

/// Length of the latent of 81 frames at 480 x 832, of which every `STRIDE`th value and the last 32 are stored.
const LATENT: usize = 16 * 21 * 60 * 104;
const STRIDE: usize = 1009;

#[test]
fn every_stored_value_is_bit_equal() {
    let golden = Golden::load("noise");
    for seed in SEEDS {
        for len in LENGTHS {
            assert_bits(&torch_randn(seed, len), golden.get(&format!("{seed}.{len}")).1);
        }
        let latent = torch_randn(seed, LATENT);
        let sample: Vec<f32> = latent.iter().copied().step_by(STRIDE).collect();
        assert_bits(&sample, golden.get(&format!("{seed}.latent")).1);
        assert_bits(&latent[LATENT - 32..], golden.get(&format!("{seed}.latent_end")).1);
    }
}

#[test]
fn only_the_low_word_of_the_seed_counts() {
    assert_bits(&torch_randn((1 << 32) + 5, 100), &torch_randn(5, 100));
}

#[test]
fn values_are_standard_normal() {
    let values = torch_randn(7, LATENT);
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / LATENT as f64;
    let variance = values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / LATENT as f64;
    // Four standard errors of two million values.
    assert!(mean.abs() < 4.0 / (LATENT as f64).sqrt(), "{mean}");
    assert!((variance - 1.0).abs() < 4.0 * (2.0 / LATENT as f64).sqrt(), "{variance}");
    assert!(torch_randn(7, 0).is_empty());
}

fn assert_bits(actual: &[f32], expected: &[f32]) {
    let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(actual), bits(expected));
}
