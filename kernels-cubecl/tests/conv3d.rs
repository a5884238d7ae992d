//! The convolution against its definition on every device.
#![allow(clippy::unwrap_used)]

use burn::prelude::*;
use testkit::{Tolerance, assert_close, tensor};
use wan_kernels::{Conv3dOptions, conv3d, reference};

const SAME: [(usize, usize); 3] = [(2, 0), (1, 1), (1, 1)];

fn values<const D: usize>(t: Tensor<D>) -> Vec<f32> {
    t.into_data().try_into_vec::<f32>().unwrap()
}

/// Straight from the definition of a convolution, in f64.
fn direct(
    x: &[f32],
    x_dims: [usize; 5],
    weight: &[f32],
    w_dims: [usize; 5],
    options: Conv3dOptions,
) -> Vec<f32> {
    let [_, c_in, t, h, w] = x_dims;
    let [c_out, _, kt, kh, kw] = w_dims;
    let sizes = [t, h, w];
    let kernel = [kt, kh, kw];
    let out: Vec<usize> = (0..3)
        .map(|d| (sizes[d] + options.padding[d].0 + options.padding[d].1 - kernel[d]) / options.stride[d] + 1)
        .collect();
    let at = |c: usize, p: [isize; 3]| {
        let inside = (0..3).all(|d| p[d] >= 0 && p[d] < sizes[d] as isize);
        if inside {
            f64::from(x[((c * t + p[0] as usize) * h + p[1] as usize) * w + p[2] as usize])
        } else {
            0.0
        }
    };
    let mut y = Vec::new();
    for o in 0..c_out {
        for position in 0..out.iter().product() {
            let o_pos = [position / (out[1] * out[2]), position / out[2] % out[1], position % out[2]];
            let mut sum = 0.0;
            for tap in 0..c_in * kt * kh * kw {
                let (c, k) = (tap / (kt * kh * kw), [tap / (kh * kw) % kt, tap / kw % kh, tap % kw]);
                let p = [0, 1, 2]
                    .map(|d| (o_pos[d] * options.stride[d] + k[d]) as isize - options.padding[d].0 as isize);
                sum += at(c, p) * f64::from(weight[o * c_in * kt * kh * kw + tap]);
            }
            y.push(sum as f32);
        }
    }
    y
}

#[test]
fn matches_the_definition() {
    let cases = [
        ([1, 3, 4, 5, 6], [2, 3, 3, 3, 3], Conv3dOptions { padding: SAME, ..Default::default() }),
        ([1, 3, 1, 5, 6], [2, 3, 3, 3, 3], Conv3dOptions { padding: SAME, ..Default::default() }),
        (
            [1, 2, 3, 6, 8],
            [3, 2, 1, 3, 3],
            Conv3dOptions { stride: [1, 2, 2], padding: [(0, 0), (0, 1), (0, 1)] },
        ),
        ([1, 2, 5, 3, 3], [4, 2, 3, 1, 1], Conv3dOptions { stride: [2, 1, 1], padding: [(0, 0); 3] }),
        ([1, 5, 2, 3, 4], [7, 5, 1, 1, 1], Conv3dOptions::default()),
    ];
    for device in testkit::devices() {
        for (seed, (x_dims, w_dims, options)) in (0..).zip(cases) {
            let x = tensor::<5>(seed, x_dims, &device.device);
            let weight = tensor::<5>(seed + 100, w_dims, &device.device);
            let expected = direct(&values(x.clone()), x_dims, &values(weight.clone()), w_dims, options);
            let y = conv3d(x.clone(), weight.clone(), None, None, options);
            let shape = y.dims();
            let what = format!("{} {x_dims:?} {w_dims:?}", device.name);
            assert_close(&what, y, (&shape, &expected), Tolerance::module(&device));
            let reference = reference::conv3d(x, weight, None, None, options);
            assert_close(&what, reference, (&shape, &expected), Tolerance::module(&device));
        }
    }
}

#[test]
fn history_stands_for_earlier_frames() {
    for device in testkit::devices() {
        let video = tensor::<5>(1, [1, 3, 6, 4, 5], &device.device);
        let weight = tensor::<5>(2, [4, 3, 3, 3, 3], &device.device);
        let bias = tensor::<1>(3, [4], &device.device);
        let options = Conv3dOptions { padding: SAME, ..Default::default() };
        let whole = reference::conv3d(video.clone(), weight.clone(), Some(bias.clone()), None, options);
        for (start, end) in [(0usize, 1), (0, 2), (1, 2), (1, 4), (2, 3), (3, 6)] {
            let chunk = video.clone().slice_dim(2, start..end);
            let history = (start > 0).then(|| video.clone().slice_dim(2, start.saturating_sub(2)..start));
            let y = conv3d(chunk, weight.clone(), Some(bias.clone()), history, options);
            let expected = whole.clone().slice_dim(2, start..end);
            let shape = expected.dims();
            let what = format!("{} frames {start}..{end}", device.name);
            assert_close(&what, y, (&shape, &values(expected)), Tolerance::module(&device));
        }
    }
}
