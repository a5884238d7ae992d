//! Inputs from a seeded generator on the host, the same for every device.

use burn::{
    prelude::*,
    tensor::{DType, FloatDType},
};
use half::f16;
use rayon::prelude::*;

use crate::RopeTable;

/// Values that a thread makes at least.
const PIECE: usize = 1 << 16;

/// Draws the tensors of one case for one device.
pub(super) struct Draw {
    device: Device,
    /// What activations are rounded to.
    rounded: FloatDType,
    /// What activations are stored in, and results come in.
    stored: FloatDType,
}

impl Draw {
    /// For a run in `dtype`.
    pub fn new(device: &Device, dtype: FloatDType) -> Self {
        Self { device: device.clone(), rounded: dtype, stored: dtype }
    }

    /// For a run in f32 on what a run in `dtype` would get.
    pub fn exact(device: &Device, dtype: FloatDType) -> Self {
        Self { device: device.clone(), rounded: dtype, stored: FloatDType::F32 }
    }

    /// Whether this is the device for [`Self::exact`] draws of the tests.
    #[cfg(test)]
    pub fn device_is_host(&self) -> bool {
        self.device != Device::flex()
    }

    /// The dtype that results come in.
    pub fn dtype(&self) -> DType {
        self.stored.into()
    }

    /// Values of mean 0 and standard deviation `spread` in the case's dtype.
    pub fn activation<const D: usize>(&self, seed: u64, spread: f32, shape: [usize; D]) -> Tensor<D> {
        let data = TensorData::new(values(seed, spread, shape.iter().product()), shape);
        let data = if self.rounded == FloatDType::F16 { data.convert::<f16>() } else { data };
        let data = if self.stored == FloatDType::F16 { data } else { data.convert::<f32>() };
        Tensor::from_data(data, (&self.device, self.dtype()))
    }

    /// Values of mean 0 and standard deviation 1 in f32, whatever the case's dtype.
    pub fn parameter<const D: usize>(&self, seed: u64, shape: [usize; D]) -> Tensor<D> {
        let data = TensorData::new(values(seed, 1.0, shape.iter().product()), shape);
        Tensor::from_data(data, (&self.device, DType::F32))
    }

    /// Words of any bits.
    pub fn words<const D: usize>(&self, seed: u64, shape: [usize; D]) -> Tensor<D, Int> {
        let word = |n: usize| (unit(seed, n as u64) * 2f64.powi(32)) as u32;
        let count = shape.iter().product::<usize>();
        let words: Vec<u32> = (0..count).into_par_iter().with_min_len(PIECE).map(word).collect();
        Tensor::from_data(TensorData::new(words, shape), (&self.device, DType::U32))
    }

    /// The given values in f32.
    pub fn given(&self, values: Vec<f32>) -> Tensor<1> {
        Tensor::from_data(&*values, (&self.device, DType::F32))
    }

    /// Rotations of `length` tokens by any angles, for heads of `width`.
    pub fn table(&self, seed: u64, length: usize, width: usize) -> RopeTable {
        let angles = values(seed, std::f32::consts::PI, length * width / 2);
        let table = |f: fn(f32) -> f32| {
            let data = TensorData::new(angles.iter().copied().map(f).collect(), [length, width / 2]);
            Tensor::from_data(data, (&self.device, DType::F32))
        };
        RopeTable { cos: table(f32::cos), sin: table(f32::sin) }
    }
}

/// `count` evenly distributed values of mean 0 and standard deviation `spread`.
fn values(seed: u64, spread: f32, count: usize) -> Vec<f32> {
    let width = 2.0 * 3f64.sqrt() * f64::from(spread);
    let value = |n: usize| ((unit(seed, n as u64) - 0.5) * width) as f32;
    (0..count).into_par_iter().with_min_len(PIECE).map(value).collect()
}

/// Number `n` of the sequence `seed`, in 0..1: SplitMix64.
pub(super) fn unit(seed: u64, n: u64) -> f64 {
    let z = (seed << 40).wrapping_add(n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::values;

    #[test]
    fn values_have_the_spread_and_depend_on_the_seed() {
        let (a, b) = (values(1, 2.0, 10_000), values(2, 2.0, 10_000));
        let mean = |f: &dyn Fn(usize) -> f32| (0..a.len()).map(|n| f64::from(f(n))).sum::<f64>() / 1e4;
        assert!(mean(&|n| a[n]).abs() < 0.1, "centred");
        assert!((mean(&|n| a[n] * a[n]).sqrt() - 2.0).abs() < 0.05, "spread");
        assert!(mean(&|n| a[n] * b[n]).abs() < 0.1, "seeds are unrelated");
        assert!(mean(&|n| a[n] * a[(n + 1) % a.len()]).abs() < 0.1, "neighbours are unrelated");
        assert_eq!(a[..10], values(1, 2.0, 10)[..]);
    }
}
