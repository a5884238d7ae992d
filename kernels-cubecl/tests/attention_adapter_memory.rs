//! What attention on an adapter holds beyond queries, keys, values and result at a film's length: 32,760 tokens in 12
//! heads of 128.

use burn::{backend::DispatchDevice, prelude::*, tensor::DType};
use cubecl::MemoryScope;
use testkit::{TestDevice, devices, report_skip};
use wan_kernels::{DeviceCaps, Window, window_attention};

const DIMS: [usize; 4] = [1, 32_760, 12, 128];

/// The most that may be held beyond operands and result.
const MOST: usize = 64 << 20;

fn bytes(dtype: DType) -> usize {
    DIMS.iter().product::<usize>() * dtype.size()
}

/// The widest elements of which the adapter binds so many at once.
fn widest(device: &Device) -> Option<DType> {
    let bound = DeviceCaps::of(device).max_binding_bytes;
    let fits = |dtype: DType| device.supports_dtype(dtype) && bytes(dtype) as u64 <= bound;
    [DType::F32, DType::F16].into_iter().find(|&dtype| fits(dtype))
}

/// Bytes CubeCL's pools hold after `call` beyond those in use before. They give nothing back while it runs, so that
/// what was freed meanwhile counts; what they hold in advance does too.
fn growth(device: &Device, call: impl FnOnce() -> Tensor<4>) -> usize {
    let DispatchDevice::Cube(cube) = device.as_dispatch() else {
        panic!("a graphics adapter is a CubeCL device")
    };
    let client = cube.client();
    client.memory_cleanup().expect("memory can be cleaned up");
    let usage = || client.memory_report(MemoryScope::Device).usage();
    let before = usage().bytes_in_use;
    let _result = call();
    (usage().bytes_reserved - before) as usize
}

/// A window spares most of the arithmetic and changes no memory; nobody waits for the result. Alone in its process,
/// which ends the work on a software adapter when it ends.
#[test]
fn attention_holds_little_beyond_its_result() {
    for TestDevice { name, device, .. } in devices().iter().filter(|d| d.gpu) {
        let Some(dtype) = widest(device) else {
            report_skip(name, "it binds no such keys");
            continue;
        };
        let [q, k, v] = [0.1, 0.2, 0.3].map(|x| Tensor::<4>::full(DIMS, x, (device, dtype)).swap_dims(1, 2));
        let window = Window { size: 16, sink: 0 };
        let grown = growth(device, || window_attention(q.clone(), k.clone(), v.clone(), window));
        let result = bytes(dtype);
        assert!((result..=result + MOST).contains(&grown), "{name}: {grown} bytes for a result of {result}");
    }
}
