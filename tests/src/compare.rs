//! Comparison by relative L2 error, NaN-aware.

use burn::prelude::*;

/// An upper bound on the relative L2 error, with the reason in the constant's doc.
#[derive(Clone, Copy, Debug)]
pub struct Tolerance(pub f64);

impl Tolerance {
    /// One module in f32 on the host: rounding of sums in another order.
    pub const MODULE: Self = Self(1e-5);
    /// One module in f32 on a graphics adapter: other orders of summation and approximate exp and sqrt.
    pub const MODULE_GPU: Self = Self(1e-4);
    /// One module with f16 matmul inputs: 2^-11 per rounding, some tens of roundings deep.
    pub const MODULE_F16: Self = Self(5e-3);
    /// Latents after a whole sampling run, where guidance amplifies each step's rounding.
    pub const RUN: Self = Self(1e-3);
    /// The same on a graphics adapter: each forward pass is off by ten times as much there, see
    /// [`Self::MODULE_GPU`], of which a few steps with guidance add up.
    pub const RUN_GPU: Self = Self(2e-3);
    /// A run in f32 on the host against plain arithmetic with timesteps and sigmas in f64: no difference but rounding.
    pub const RUN_PLAIN: Self = Self(1e-4);

    /// [`Self::MODULE`] or [`Self::MODULE_GPU`], by the device.
    pub fn module(device: &crate::TestDevice) -> Self {
        if device.gpu { Self::MODULE_GPU } else { Self::MODULE }
    }

    /// [`Self::RUN`] or [`Self::RUN_GPU`], by the device.
    pub fn run(device: &crate::TestDevice) -> Self {
        if device.gpu { Self::RUN_GPU } else { Self::RUN }
    }
}

/// `||actual - expected|| / ||expected||`; infinite if either holds a value that is not finite.
pub fn relative_l2(actual: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(actual.len(), expected.len(), "lengths differ");
    let (mut error, mut norm) = (0f64, 0f64);
    for (&a, &e) in actual.iter().zip(expected) {
        if !a.is_finite() || !e.is_finite() {
            return f64::INFINITY;
        }
        error += (f64::from(a) - f64::from(e)).powi(2);
        norm += f64::from(e).powi(2);
    }
    (error / norm.max(f64::MIN_POSITIVE)).sqrt()
}

/// Mean distance of two sets of frames in 0..1 that show the same: two of 255 levels.
pub const FRAMES_MEAN: f64 = 2.0 / 255.0;

/// Mean absolute difference.
pub fn mean_difference(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len(), "lengths differ");
    a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs())).sum::<f64>() / a.len() as f64
}

/// Panics with `what`, the error and the bound unless shapes agree and the error is within `tolerance`. Refuses an
/// expected tensor without spread, against which any scale of error would pass or fail by accident.
pub fn assert_close<const D: usize>(
    what: &str,
    actual: Tensor<D>,
    expected: (&[usize], &[f32]),
    tolerance: Tolerance,
) {
    assert_eq!(actual.dims().as_slice(), expected.0, "{what}: shape");
    let data = actual.into_data().convert::<f32>();
    let actual = data.as_slice::<f32>().expect("f32 after conversion");
    let (low, high) = expected.1.iter().fold((f32::MAX, f32::MIN), |(l, h), &v| (l.min(v), h.max(v)));
    assert!(expected.1.len() < 2 || low < high, "{what}: the expected tensor is constant");
    let error = relative_l2(actual, expected.1);
    assert!(error <= tolerance.0, "{what}: relative L2 {error:.3e} exceeds {:.0e}", tolerance.0);
}
