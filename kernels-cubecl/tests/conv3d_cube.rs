//! The convolution kernel for CubeCL devices against the reference on ndarray.
#![allow(clippy::unwrap_used)]

use burn::{
    prelude::*,
    tensor::{DType, FloatDType},
};
use testkit::{TestDevice, Tolerance, assert_close, devices, reference_device, report_skip, tensor};
use wan_kernels::{
    Conv3dOptions, DeviceCaps, DeviceKind, FUSED, Mode, Road, conv3d, fallbacks, reference, road,
};

/// Sums in another order, and transforms of inputs, filters and products.
const F32: Tolerance = Tolerance(1e-5);
/// 2^-11 for the rounding of the result, and a margin; sums are f32.
const F16: Tolerance = Tolerance(3e-3);

const CAUSAL: Conv3dOptions = Conv3dOptions { stride: [1; 3], padding: [(2, 0), (1, 1), (1, 1)] };
const FRAMEWISE: Conv3dOptions = Conv3dOptions { stride: [1; 3], padding: [(0, 0), (1, 1), (1, 1)] };
const HALVING: Conv3dOptions = Conv3dOptions { stride: [1, 2, 2], padding: [(0, 0), (0, 1), (0, 1)] };
const TEMPORAL: Conv3dOptions = Conv3dOptions { stride: [1; 3], padding: [(2, 0), (0, 0), (0, 0)] };
const THINNING: Conv3dOptions = Conv3dOptions { stride: [2, 1, 1], padding: [(1, 0), (0, 0), (0, 0)] };
const POINTWISE: Conv3dOptions = Conv3dOptions { stride: [1; 3], padding: [(0, 0); 3] };

/// One call: input, output channels, window, options, frames of history.
struct Case([usize; 5], usize, [usize; 3], Conv3dOptions, usize);

/// The layers of a video network with few pixels, both kernels, all tiles over channels, partial ones, and sizes that
/// no such network has.
fn cases() -> Vec<Case> {
    let uneven = Conv3dOptions { stride: [2, 3, 1], padding: [(3, 2), (0, 2), (4, 1)] };
    let askew = Conv3dOptions { stride: [2, 1, 1], padding: [(2, 1), (0, 2), (3, 0)] };
    vec![
        Case([1, 3, 3, 9, 17], 12, [3; 3], CAUSAL, 2),
        Case([1, 16, 2, 5, 6], 96, [3; 3], CAUSAL, 1),
        Case([1, 96, 1, 6, 7], 3, [3; 3], CAUSAL, 0),
        Case([1, 7, 1, 34, 35], 3, [3; 3], CAUSAL, 2),
        Case([2, 5, 3, 7, 5], 65, [3; 3], CAUSAL, 1),
        Case([1, 40, 1, 5, 4], 67, [3, 1, 1], TEMPORAL, 2),
        Case([2, 17, 5, 4, 5], 33, [3, 1, 1], THINNING, 1),
        Case([1, 9, 4, 5, 3], 5, [3, 1, 1], THINNING, 0),
        Case([1, 6, 2, 11, 19], 20, [1, 3, 3], FRAMEWISE, 0),
        Case([1, 6, 3, 12, 14], 64, [1, 3, 3], HALVING, 0),
        Case([1, 6, 2, 13, 37], 5, [1, 3, 3], HALVING, 0),
        Case([2, 50, 2, 3, 5], 70, [1, 1, 1], POINTWISE, 0),
        Case([1, 1, 1, 1, 1], 1, [1, 1, 1], POINTWISE, 0),
        Case([2, 3, 4, 8, 9], 4, [2, 5, 4], uneven, 3),
        Case([1, 18, 2, 19, 37], 70, [1, 3, 3], FRAMEWISE, 0),
        Case([2, 13, 5, 9, 6], 33, [3; 3], askew, 1),
        Case([1, 384, 1, 6, 7], 33, [3; 3], CAUSAL, 2),
    ]
}

fn values<const D: usize>(t: Tensor<D>) -> Vec<f32> {
    t.into_data().convert::<f32>().try_into_vec::<f32>().unwrap()
}

fn on<const D: usize>(device: &Device, t: &Tensor<D>) -> Tensor<D> {
    Tensor::from_data(t.to_data().convert::<f32>(), device)
}

/// Devices that run the kernel.
fn cubes() -> Vec<TestDevice> {
    let is_cube = |device: &TestDevice| DeviceCaps::of(&device.device).kind == DeviceKind::Cube;
    devices().into_iter().filter(is_cube).collect()
}

/// Compares with the reference on ndarray, which sees what rounding left of the arguments.
fn check(
    what: &str,
    arguments: (Tensor<5>, Tensor<5>, Option<Tensor<1>>, Option<Tensor<5>>),
    options: Conv3dOptions,
    tolerance: Tolerance,
) {
    let (x, weight, bias, history) = arguments;
    let host = reference_device();
    let expected = reference::conv3d(
        on(&host, &x),
        on(&host, &weight),
        bias.as_ref().map(|bias| on(&host, bias)),
        history.as_ref().map(|history| on(&host, history)),
        options,
    );
    let shape = expected.dims();
    let dtype = x.dtype();
    let y = conv3d(x, weight, bias, history, options);
    assert_eq!(y.dtype(), dtype, "{what}");
    assert_close(what, y, (&shape, &values(expected)), tolerance);
}

#[test]
fn matches_the_reference() {
    for TestDevice { name, device, .. } in &cubes() {
        // Every third case in f16, which differs in loads and stores alone: a software device compiles slowly.
        let mut dtypes = vec![(FloatDType::F32, F32, 1)];
        match DeviceCaps::of(device).handles(DType::F16) {
            true => dtypes.push((FloatDType::F16, F16, 3)),
            false => report_skip(name, "no f16"),
        }
        for (dtype, tolerance, step) in dtypes {
            for Case(x_dims, outputs, kernel, options, past) in cases().into_iter().step_by(step) {
                let [b, inputs, _, h, w] = x_dims;
                let [k_t, k_h, k_w] = kernel;
                let x = tensor::<5>(1, x_dims, device).cast(dtype);
                let weight = tensor::<5>(2, [outputs, inputs, k_t, k_h, k_w], device).cast(dtype);
                let bias = tensor::<1>(3, [outputs], device).cast(dtype);
                let history = (past > 0).then(|| tensor::<5>(4, [b, inputs, past, h, w], device).cast(dtype));
                let what = format!("{name} {x_dims:?} to {outputs} by {kernel:?} after {past} {dtype:?}");
                check(&what, (x, weight, Some(bias), history), options, tolerance);
            }
        }
    }
    assert_eq!(fallbacks(), vec![]);
}

#[test]
fn views_are_read_where_they_lie() {
    for TestDevice { name, device, .. } in &cubes() {
        let video = tensor::<5>(1, [2, 6, 6, 5, 7], device);
        let weight = tensor::<5>(2, [4, 4, 3, 3, 3], device);
        let frames = |range| video.clone().slice([0..2, 1..5, range]);
        let (x, history) = (frames(3..5), frames(1..3));
        check(name, (x, weight.clone(), None, Some(history)), CAUSAL, F32);
        // Neither rows nor pixels of these are contiguous.
        let turned = video.clone().swap_dims(3, 4).slice([0..2, 0..4, 2..4]);
        let part = video.slice([0..2, 0..4, 0..2, 1..4, 2..5]);
        check(name, (turned, weight.clone(), None, None), CAUSAL, F32);
        check(name, (part, weight, None, None), CAUSAL, F32);
    }
}

/// A frame is the same whatever frames come with it, to the last bit, from either kernel.
#[test]
fn frames_do_not_depend_on_their_chunk() {
    for TestDevice { name, device, .. } in &cubes() {
        for columns in [3, 2] {
            let video = tensor::<5>(1, [1, 5, 5, 4, 5], device);
            let weight = tensor::<5>(2, [6, 5, 3, 3, columns], device);
            let bias = tensor::<1>(3, [6], device);
            let convolved =
                |chunk, history| conv3d(chunk, weight.clone(), Some(bias.clone()), history, CAUSAL);
            let whole = convolved(video.clone(), None);
            for (start, end) in [(0usize, 1), (0, 2), (1, 2), (1, 4), (2, 3), (3, 5)] {
                let past = start.saturating_sub(2)..start;
                let history = (start > 0).then(|| video.clone().slice_dim(2, past));
                let chunk = convolved(video.clone().slice_dim(2, start..end), history);
                let same = values(whole.clone().slice_dim(2, start..end)) == values(chunk);
                assert!(same, "{name} {columns} columns, frames {start}..{end}");
            }
        }
    }
}

/// The kernel runs where it can, and says where it cannot.
#[test]
fn own_code_is_what_runs() {
    if Mode::get() == Mode::Reference {
        return;
    }
    for TestDevice { name, device, .. } in &cubes() {
        let operation = FUSED.iter().find(|operation| operation.name == "conv3d").expect("it is listed");
        assert_eq!(road(operation, device, &[DType::F32]), Road::Custom, "{name}");
    }
}
