//! The timestep as the network first sees it.

/// Longest period over shortest.
const PERIODS: f64 = 10_000.0;

/// `dim / 2` cosines, then as many sines, of `timestep * 10000^(-2 k / dim)`; computed in f64, `dim` even.
pub fn sinusoid(timestep: f64, dim: usize) -> Vec<f32> {
    let half = dim / 2;
    let angle = |k: usize| timestep * PERIODS.powf(-(k as f64) / half as f64);
    let cosines = (0..half).map(|k| angle(k).cos() as f32);
    let sines = (0..half).map(|k| angle(k).sin() as f32);
    cosines.chain(sines).collect()
}
