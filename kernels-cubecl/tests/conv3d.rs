//! The convolution against its definition on every device.
#![allow(clippy::unwrap_used)]

use burn::{prelude::*, tensor::DType};
use testkit::{Tolerance, assert_close, tensor};
use wan_kernels::{Conv3dOptions, conv3d, conv3d_after, reference};

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

/// Sums of up to ten thousand products in another order, and transforms of inputs, filters and products.
const TWIN: Tolerance = Tolerance(1e-5);

/// f16 arguments and result, f32 inside.
const TWIN_F16: Tolerance = Tolerance(3e-3);

const FLAT: [(usize, usize); 3] = [(0, 0), (1, 1), (1, 1)];
const BACK: [(usize, usize); 3] = [(2, 0), (0, 0), (0, 0)];

fn padded(padding: [(usize, usize); 3]) -> Conv3dOptions {
    Conv3dOptions { padding, ..Default::default() }
}

/// Arguments on `device`: `[x, weight]`, bias, and `past` frames of history.
struct Arguments {
    x: Tensor<5>,
    weight: Tensor<5>,
    bias: Tensor<1>,
    history: Option<Tensor<5>>,
}

impl Arguments {
    fn new(x_dims: [usize; 5], w_dims: [usize; 5], past: usize, device: &Device) -> Self {
        let [b, c, _, h, w] = x_dims;
        let fan_in: usize = w_dims[1..].iter().product();
        Self {
            x: tensor(1, x_dims, device),
            weight: tensor(2, w_dims, device).div_scalar((fan_in as f32).sqrt()),
            bias: tensor(3, [w_dims[0]], device),
            history: (past > 0).then(|| tensor(4, [b, c, past, h, w], device)),
        }
    }
}

/// The twin against the reference's tensor code on ndarray.
fn compare(x_dims: [usize; 5], w_dims: [usize; 5], past: usize, options: Conv3dOptions) {
    let run = |conv: fn(_, _, _, _, _) -> Tensor<5>, device: &Device| {
        let Arguments { x, weight, bias, history } = Arguments::new(x_dims, w_dims, past, device);
        conv(x, weight, Some(bias), history, options)
    };
    let expected = run(reference::conv3d, &testkit::reference_device());
    let shape = expected.dims();
    let what = format!("{x_dims:?} {w_dims:?} after {past}, {options:?}");
    assert_close(&what, run(conv3d, &Device::flex()), (&shape, &values(expected)), TWIN);
}

#[test]
fn the_twin_matches_at_odd_sizes() {
    for (h, w) in [(1, 1), (2, 1), (1, 7), (5, 2), (9, 11), (24, 28), (27, 29), (41, 25), (3, 130)] {
        for (inputs, outputs, t) in [(1, 1, 1), (5, 17, 2), (17, 5, 3)] {
            compare([1, inputs, t, h, w], [outputs, inputs, 3, 3, 3], 0, padded(SAME));
            compare([1, inputs, t, h, w], [outputs, inputs, 1, 3, 3], 0, padded(FLAT));
        }
    }
}

#[test]
fn the_twin_matches_for_every_kind_of_layer() {
    let halved = Conv3dOptions { stride: [1, 2, 2], padding: [(0, 0), (0, 1), (0, 1)] };
    let by_two = |past: usize| Conv3dOptions { stride: [2, 1, 1], padding: [(past, 0), (0, 0), (0, 0)] };
    for (h, w) in [(3, 5), (32, 27)] {
        for t in 1..=5 {
            compare([1, 16, t, h, w], [12, 16, 3, 1, 1], 2, padded(BACK));
            compare([1, 5, t, h, w], [17, 5, 1, 3, 3], 0, halved);
            compare([1, 17, t, h, w], [96, 17, 1, 1, 1], 0, padded([(0, 0); 3]));
            compare([1, 3, t, h, w], [32, 3, 3, 3, 3], t.min(2), padded(SAME));
            compare([1, 32, t, h, w], [3, 32, 3, 3, 3], t.min(2), padded(SAME));
        }
        compare([1, 12, 4, h, w], [12, 12, 3, 1, 1], 1, by_two(1));
        compare([1, 12, 5, h, w], [12, 12, 3, 1, 1], 0, by_two(0));
        compare([1, 12, 5, h, w], [12, 12, 3, 3, 3], 1, Conv3dOptions { stride: [2, 1, 1], padding: SAME });
        compare([1, 6, 4, h, w], [7, 6, 3, 3, 3], 0, padded([(1, 1), (0, 2), (2, 1)]));
    }
}

#[test]
fn the_twin_matches_for_any_history_and_batch() {
    for (h, w) in [(4, 5), (27, 29)] {
        for past in 0..=2 {
            for t in [1, 2, 5] {
                compare([2, 6, t, h, w], [13, 6, 3, 3, 3], past, padded(SAME));
            }
        }
    }
}

#[test]
fn the_twin_keeps_its_precision_at_full_width() {
    compare([1, 384, 1, 24, 28], [12, 384, 3, 3, 3], 2, padded(SAME));
    compare([1, 16, 1, 24, 28], [384, 16, 3, 3, 3], 2, padded(SAME));
    compare([1, 384, 1, 8, 9], [24, 384, 1, 3, 3], 0, padded(FLAT));
    compare([1, 192, 2, 3, 3], [384, 192, 3, 1, 1], 2, padded(BACK));
}

#[test]
fn a_frame_is_the_same_in_every_chunk() {
    let device = Device::flex();
    let layers = [([3, 3, 3], SAME), ([3, 1, 1], BACK), ([1, 3, 3], FLAT), ([1, 1, 1], [(0, 0); 3])];
    for (kernel, padding) in layers {
        for (h, w) in [(5, 6), (27, 29)] {
            let w_dims = [13, 18, kernel[0], kernel[1], kernel[2]];
            let Arguments { x, weight, bias, .. } = Arguments::new([1, 18, 5, h, w], w_dims, 0, &device);
            let conv = |x, history| conv3d(x, weight.clone(), Some(bias.clone()), history, padded(padding));
            let whole = values(conv(x.clone(), None));
            for chunks in [vec![1, 1, 1, 1, 1], vec![1, 4], vec![2, 3], vec![3, 2]] {
                let parts = (0..chunks.len()).map(|n| {
                    let [start, end] = [n, n + 1].map(|n| chunks[..n].iter().sum::<usize>());
                    let past = start.min(padding[0].0);
                    let history = (past > 0).then(|| x.clone().slice_dim(2, start - past..start));
                    conv(x.clone().slice_dim(2, start..end), history)
                });
                let streamed = values(Tensor::cat(parts.collect(), 2));
                assert!(streamed == whole, "{kernel:?} on {h}x{w} in chunks of {chunks:?}");
            }
        }
    }
}

#[test]
fn the_twin_takes_f16() {
    let device = Device::flex();
    for (h, w) in [(5, 6), (27, 29)] {
        let Arguments { x, weight, bias, history } =
            Arguments::new([1, 18, 2, h, w], [13, 18, 3, 3, 3], 2, &device);
        let expected = conv3d(x.clone(), weight.clone(), Some(bias.clone()), history.clone(), padded(SAME));
        let half = |t: Tensor<5>| t.cast(DType::F16);
        let y = conv3d(half(x), half(weight), Some(bias.cast(DType::F16)), history.map(half), padded(SAME));
        assert_eq!(y.dtype(), DType::F16);
        let shape = expected.dims();
        assert_close("f16", y, (&shape, &values(expected)), TWIN_F16);
    }
}

#[test]
fn a_history_in_pieces_is_one_history() {
    for device in testkit::devices() {
        for kernel in [[3, 3, 3], [3, 1, 1]] {
            let padding = if kernel == [3; 3] { SAME } else { BACK };
            let w_dims = [13, 18, kernel[0], kernel[1], kernel[2]];
            let arguments = Arguments::new([1, 18, 2, 27, 29], w_dims, 2, &device.device);
            let Arguments { x, weight, bias, history: Some(history) } = arguments else {
                panic!("two frames")
            };
            let conv = |pieces| {
                values(conv3d_after(x.clone(), weight.clone(), Some(bias.clone()), pieces, padded(padding)))
            };
            let pieces = [0, 1].map(|frame| history.clone().slice_dim(2, frame..frame + 1));
            let whole = conv(vec![history.clone()]);
            assert!(conv(pieces.to_vec()) == whole, "{} {kernel:?}", device.name);
            assert!(conv(pieces[1..].to_vec()) != whole, "{} {kernel:?}", device.name);
        }
    }
}

/// Storage alone: values that f16 holds exactly give the same result from both dtypes.
#[test]
fn frames_in_f16_are_taken_beside_weights_in_f32() {
    for device in [testkit::reference_device(), Device::flex()] {
        for (h, w) in [(5, 6), (27, 29)] {
            let arguments = Arguments::new([1, 18, 2, h, w], [13, 18, 3, 3, 3], 2, &device);
            let Arguments { x, weight, bias, history: Some(history) } = arguments else {
                panic!("two frames")
            };
            let conv =
                |x, history| conv3d_after(x, weight.clone(), Some(bias.clone()), vec![history], padded(SAME));
            let coarse = |t: Tensor<5>| t.mul_scalar(64.0).round().div_scalar(64.0);
            let (x, history) = (coarse(x), coarse(history));
            let expected = conv(x.clone(), history.clone());
            if !device.supports_dtype(DType::F16) {
                continue;
            }
            let y = conv(x.cast(DType::F16), history.cast(DType::F16));
            assert_eq!(y.dtype(), DType::F32);
            assert!(values(y) == values(expected), "{h}x{w}");
        }
    }
}

#[test]
#[should_panic(expected = "conv3d: ")]
fn pieces_of_different_sizes_are_refused() {
    let device = Device::flex();
    let Arguments { x, weight, .. } = Arguments::new([1, 2, 1, 3, 3], [2, 2, 3, 3, 3], 0, &device);
    let pieces = vec![tensor(1, [1, 2, 1, 3, 3], &device), tensor(1, [1, 2, 1, 3, 4], &device)];
    conv3d_after(x, weight, None, pieces, padded(SAME));
}

#[test]
fn a_view_of_any_layout_is_taken() {
    let device = Device::flex();
    let Arguments { x, weight, bias, .. } = Arguments::new([5, 27, 2, 29, 6], [9, 5, 3, 3, 3], 0, &device);
    let view = x.permute([2, 0, 4, 1, 3]);
    let copy = Tensor::from_data(view.to_data(), &device);
    let conv = |x| values(conv3d(x, weight.clone(), Some(bias.clone()), None, padded(SAME)));
    assert!(conv(view) == conv(copy), "a permuted view");
}

#[test]
#[should_panic(expected = "conv3d: ")]
fn a_history_longer_than_the_padding_is_refused() {
    let Arguments { x, weight, history, .. } =
        Arguments::new([1, 2, 1, 3, 3], [2, 2, 3, 3, 3], 3, &Device::flex());
    conv3d(x, weight, None, history, padded(SAME));
}
