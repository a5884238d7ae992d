//! What the device itself can do, by its own matrix product and copy.

use burn::{
    prelude::*,
    tensor::{DType, Distribution},
};
use wan_kernels::{DeviceCaps, DeviceKind, kernels::matrix_tiles, linear};

use super::{Cost, Work, median};

/// For which each is measured, about.
const SECONDS: f64 = 0.5;

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
        Self {
            dtype,
            matmul_gflop_per_second: matmul_gflop_per_second(device, dtype),
            memory_gigabytes_per_second: memory_gigabytes_per_second(device, dtype),
        }
    }

    /// The least a device of this peak needs.
    pub fn seconds(self, cost: Cost) -> f64 {
        let arithmetic = cost.flops / (1e9 * self.matmul_gflop_per_second);
        arithmetic.max(cost.bytes / (1e9 * self.memory_gigabytes_per_second))
    }
}

/// Of a square matrix product, by the faster of the backend's and our own where matrix units take it.
pub fn matmul_gflop_per_second(device: &Device, dtype: DType) -> f64 {
    let caps = DeviceCaps::of(device);
    // A software adapter would take minutes, a host seconds; a card shows its speed on large ones only.
    let edge = match caps.kind {
        DeviceKind::Cube if caps.software => 1_024,
        DeviceKind::Cube => 8_192,
        _ => 4_096,
    };
    let (a, b) = (random([edge, edge], device, dtype), random([edge, edge], device, dtype));
    let per_second =
        |mut product: Work| 2.0 * (edge as f64).powi(3) / median(device, SECONDS, &mut product) / 1e9;
    let (x, weight) = (a.clone(), b.clone());
    let backends = per_second(Box::new(move || drop(a.clone().matmul(b.clone()))));
    // Nothing runs at a peak that our own products exceed.
    if dtype != DType::F16 || matrix_tiles(&caps).is_none() {
        return backends;
    }
    backends.max(per_second(Box::new(move || drop(linear(x.clone(), weight.clone(), None, false)))))
}

fn memory_gigabytes_per_second(device: &Device, dtype: DType) -> f64 {
    let megabytes = if DeviceCaps::of(device).software { 64 } else { 512 };
    let rows = (megabytes << 20) / (4_096 * dtype.size());
    let (mut x, y) = (Some(random([rows, 4_096], device, dtype)), random([rows, 4_096], device, dtype));
    let bytes = 3.0 * (megabytes << 20) as f64;
    // In place: what a host takes to give out new memory is not what its memory can do.
    let mut sum: Work = Box::new(move || x = x.take().map(|x| x + y.clone()));
    bytes / median(device, SECONDS, &mut sum) / 1e9
}

fn random(shape: [usize; 2], device: &Device, dtype: DType) -> Tensor<2> {
    Tensor::<2>::random(shape, Distribution::Normal(0.0, 1.0), device).cast(dtype)
}
