//! How long a piece of work takes.

use burn::tensor::Device;

use super::Work;
use crate::time;

/// Calls that are waited for together, so that waiting costs less than what is measured.
const BATCH_SECONDS: f64 = 0.005;
const MOST_SAMPLES: usize = 50;

/// Median seconds of a call over about `seconds`, after one call that compiles and warms up. At least one sample.
pub fn median(device: &Device, seconds: f64, work: &mut Work) -> f64 {
    let mut batch = |calls: usize| {
        let each = time(1, || {
            (0..calls).for_each(|_| work());
            assert!(device.sync().is_ok(), "the device failed");
        });
        each[0] / calls as f64
    };
    batch(1);
    let first = batch(1);
    // Below `BATCH_SECONDS / 1 ns`, which fits.
    let calls = (BATCH_SECONDS / first.max(1e-9)).ceil().max(1.0) as usize;
    let samples = ((seconds / (first * calls as f64)) as usize).min(MOST_SAMPLES);
    let mut all: Vec<f64> = (0..samples).map(|_| batch(calls)).collect();
    if all.is_empty() {
        all.push(first);
    }
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}
