//! The channel norm against its reference on every device, at odd shapes, in f32 and f16.
#![allow(clippy::unwrap_used)]

use burn::{
    prelude::*,
    tensor::{DType, FloatDType},
};
use testkit::{TestDevice, Tolerance, assert_close, devices, reference_device, relative_l2, tensor};
use wan_kernels::{DeviceCaps, DeviceKind, channel_norm, fallbacks, reference};

/// Less than a vector, parts of a vector, several cubes, more channels than units share, more than a block of a
/// processor's cache.
const SHAPES: [[usize; 5]; 7] = [
    [1, 1, 1, 1, 3],
    [2, 3, 1, 5, 7],
    [1, 4, 3, 2, 2],
    [1, 12, 2, 9, 10],
    [2, 97, 1, 3, 5],
    [1, 16, 1, 31, 33],
    [1, 384, 1, 19, 10],
];

/// Other orders of summation, approximate exp and square root.
const F32: Tolerance = Tolerance(1e-5);
/// 2^-11 per rounding of arguments and result, and a margin.
const F16: Tolerance = Tolerance(3e-3);

fn values<const D: usize>(t: Tensor<D>) -> Vec<f32> {
    t.into_data().convert::<f32>().try_into_vec::<f32>().unwrap()
}

fn dtypes(device: &Device) -> Vec<(FloatDType, Tolerance)> {
    let caps = DeviceCaps::of(device);
    let f16 = caps.kind != DeviceKind::Other && caps.handles(DType::F16);
    [(FloatDType::F32, F32)].into_iter().chain(f16.then_some((FloatDType::F16, F16))).collect()
}

/// By the reference on ndarray.
fn expected(x: &Tensor<5>, gamma: &Tensor<1>, silu: bool) -> Vec<f32> {
    let host = reference_device();
    let x = Tensor::from_data(x.to_data().convert::<f32>(), &host);
    let gamma = Tensor::from_data(gamma.to_data().convert::<f32>(), &host);
    values(reference::channel_norm(x, gamma, silu))
}

#[test]
fn matches_the_reference() {
    for TestDevice { name, device, .. } in &devices() {
        for (dtype, tolerance) in dtypes(device) {
            for shape in SHAPES {
                for silu in [false, true] {
                    let x = (tensor::<5>(1, shape, device) * 30.0).cast(dtype);
                    let gamma = tensor::<1>(2, [shape[1]], device) + 1.0;
                    let expected = expected(&x, &gamma, silu);
                    let what = format!("{name} {shape:?} {dtype:?} silu {silu}");
                    let beside = channel_norm(x.clone(), gamma.clone(), silu);
                    assert_eq!(beside.dtype(), x.dtype(), "{what}");
                    assert_close(&what, beside, (&shape, &expected), tolerance);
                    // Nobody else holds this one.
                    let alone = channel_norm(x * 1.0, gamma, silu);
                    assert_close(&format!("{what} in place"), alone, (&shape, &expected), tolerance);
                }
            }
        }
    }
    assert_eq!(fallbacks(), vec![]);
}

/// Pixels of nothing but zeros have no direction to keep.
#[test]
fn zeros_stay_zeros() {
    for TestDevice { name, device, .. } in &devices() {
        let y = channel_norm(Tensor::zeros([1, 5, 1, 3, 3], device), Tensor::ones([5], device), true);
        assert!(values(y).iter().all(|&v| v == 0.0), "{name}");
    }
}

#[test]
fn views_are_read_in_order_and_left_alone() {
    for TestDevice { name, device, .. } in &devices() {
        let video = tensor::<5>(1, [1, 6, 5, 3, 4], device);
        let before = values(video.clone());
        let x = video.clone().slice([0..1, 1..5, 1..4]).swap_dims(3, 4);
        let gamma = tensor::<1>(2, [4], device);
        let expected = expected(&x, &gamma, true);
        assert_close(name, channel_norm(x, gamma, true), (&[1, 4, 3, 4, 3], &expected), F32);
        assert_eq!(relative_l2(&values(video), &before), 0.0, "{name}");
    }
}

/// A frame is the same whatever frames come with it, to the last bit.
#[test]
fn frames_do_not_depend_on_their_chunk() {
    for TestDevice { name, device, .. } in &devices() {
        let video = tensor::<5>(1, [1, 33, 4, 3, 5], device);
        let gamma = tensor::<1>(2, [33], device);
        let whole = channel_norm(video.clone(), gamma.clone(), true);
        for (start, end) in [(0, 1), (1, 2), (1, 4)] {
            let chunk = channel_norm(video.clone().slice_dim(2, start..end), gamma.clone(), true);
            let same = values(whole.clone().slice_dim(2, start..end)) == values(chunk);
            assert!(same, "{name} frames {start}..{end}");
        }
    }
}
