//! What the device itself can do, by its own matrix product and copy.

use burn::{
    prelude::*,
    tensor::{DType, Distribution},
};
use wan_kernels::DeviceCaps;

use super::{Cost, Work, median};

/// Of one device and dtype.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Peak {
    #[serde(skip)]
    pub dtype: DType,
    /// Of a square matrix product.
    pub matmul_gflop_per_second: f64,
    /// Read and written by an addition of two tensors that fit no cache.
    pub memory_gigabytes_per_second: f64,
}

impl Peak {
    pub fn of(device: &Device, dtype: DType) -> Self {
        let software = DeviceCaps::of(device).software;
        // A software adapter would take minutes; a card shows its speed on large ones only.
        let (edge, megabytes) = match software {
            true => (1_024, 64),
            false => (8_192, 512),
        };
        let random = |shape: [usize; 2]| {
            Tensor::<2>::random(shape, Distribution::Normal(0.0, 1.0), device).cast(dtype)
        };
        let (a, b) = (random([edge, edge]), random([edge, edge]));
        let mut product: Work = Box::new(move || drop(a.clone().matmul(b.clone())));
        let rows = (megabytes << 20) / (4_096 * dtype.size());
        let (mut x, y) = (Some(random([rows, 4_096])), random([rows, 4_096]));
        let bytes = 3.0 * (megabytes << 20) as f64;
        // In place: what a host takes to give out new memory is not what its memory can do.
        let mut sum: Work = Box::new(move || x = x.take().map(|x| x + y.clone()));
        let seconds = 0.5;
        Self {
            dtype,
            matmul_gflop_per_second: 2.0 * (edge as f64).powi(3)
                / median(device, seconds, &mut product)
                / 1e9,
            memory_gigabytes_per_second: bytes / median(device, seconds, &mut sum) / 1e9,
        }
    }

    /// The least a device of this peak needs.
    pub fn seconds(self, cost: Cost) -> f64 {
        let arithmetic = cost.flops / (1e9 * self.matmul_gflop_per_second);
        arithmetic.max(cost.bytes / (1e9 * self.memory_gigabytes_per_second))
    }
}
