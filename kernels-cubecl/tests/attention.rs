//! Attention on every device against its definition, at odd sizes and under small budgets.

use burn::{prelude::*, tensor::activation::softmax};
use testkit::{TestDevice, Tolerance, assert_close, devices, reference_device, tensor};
use wan_kernels::{attention, reference};

/// The definition, with the whole score matrix; on the reference backend.
fn definition(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>) -> Vec<f32> {
    let scale = (q.dims()[3] as f64).powf(-0.5);
    let y = softmax(q.matmul(k.swap_dims(2, 3)) * scale, 3).matmul(v);
    y.into_data().try_to_vec().expect("f32")
}

fn qkv([b, h, lq, lk, d]: [usize; 5], device: &Device) -> [Tensor<4>; 3] {
    [
        tensor(1, [b, h, lq, d], device) * 2.0,
        tensor(2, [b, h, lk, d], device),
        tensor(3, [b, h, lk, d], device),
    ]
}

/// The last is long enough for the backend's tiled road.
const SHAPES: [[usize; 5]; 6] = [
    [1, 1, 1, 1, 16],
    [1, 2, 7, 5, 16],
    [2, 3, 33, 65, 24],
    [1, 4, 100, 1, 32],
    [1, 2, 130, 257, 128],
    [1, 1, 600, 520, 32],
];

#[test]
fn matches_the_definition() {
    for TestDevice { name, device, .. } in &devices() {
        for shape in SHAPES {
            let [q, k, v] = qkv(shape, &reference_device());
            let expected = definition(q, k, v);
            let [q, k, v] = qkv(shape, device);
            let dims = [shape[0], shape[1], shape[2], shape[4]];
            assert_close(
                &format!("{name} {shape:?}"),
                attention(q, k, v),
                (&dims, &expected),
                Tolerance::MODULE,
            );
        }
    }
}

/// Budgets that force one row at a time, part of a head, and several heads with a remainder.
#[test]
fn blocks_do_not_change_the_result() {
    let shape = [2, 5, 37, 19, 16];
    let [q, k, v] = qkv(shape, &reference_device());
    let expected = definition(q, k, v);
    for TestDevice { name, device, .. } in &devices() {
        for budget in [1, 2 * 19 * 4 * 10, 2 * 19 * 4 * 37 * 2, 1 << 30] {
            let [q, k, v] = qkv(shape, device);
            let y = reference::attention(q, k, v, budget);
            assert_close(&format!("{name} {budget}"), y, (&[2, 5, 37, 16], &expected), Tolerance::MODULE);
        }
    }
}

#[test]
fn f16_inputs_keep_their_dtype_and_accuracy() {
    use burn::tensor::DType;
    let shape = [1, 2, 33, 65, 32];
    let [q, k, v] = qkv(shape, &reference_device());
    let expected = definition(q, k, v);
    for TestDevice { name, device, .. } in devices().iter().filter(|d| d.name != "ndarray") {
        if !device.supports_dtype(DType::F16) {
            continue;
        }
        let [q, k, v] = qkv(shape, device).map(|x| x.cast(DType::F16));
        let y = attention(q, k, v);
        assert_eq!(y.dtype(), DType::F16, "{name}");
        assert_close(name, y.cast(DType::F32), (&[1, 2, 33, 32], &expected), Tolerance::MODULE_F16);
    }
}
