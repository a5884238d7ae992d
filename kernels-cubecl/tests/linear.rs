//! Linear layers against plain tensor code on every device: odd sizes, weights of every dtype, with and without bias
//! and GELU.
#![allow(clippy::unwrap_used)]

use burn::{prelude::*, tensor::DType};
use testkit::{
    TestDevice, Tolerance, assert_close, devices, reference_device, relative_l2, report_skip, tensor,
};
use wan_kernels::{DeviceCaps, DeviceKind, kernels::matrix_tiles, linear, reference};

/// Activations and weight of 11 bits, rounded results of as many on adapters.
const F16: Tolerance = Tolerance(1e-3);
const BF16: Tolerance = Tolerance(8e-3);

/// Those of a device; adapters multiply by their backend, which takes long to compile on a software adapter.
fn sizes(device: &Device) -> &'static [[usize; 3]] {
    if DeviceCaps::of(device).kind == DeviceKind::Cube { &SIZES[1..3] } else { &SIZES }
}

/// m, k and n: few rows and many, whole tiles and remainders of one, several batches and blocks of columns,
/// and more than are packed at a time.
const SIZES: [[usize; 3]; 10] = [
    [1, 7, 1],
    [3, 64, 5],
    [8, 513, 66],
    [9, 1, 3],
    [16, 96, 96],
    [33, 385, 97],
    [65, 384, 193],
    [520, 40, 30],
    [1030, 17, 9],
    [1030, 8000, 5],
];

fn operands([m, k, n]: [usize; 3], device: &Device) -> (Tensor<2>, Tensor<2>, Tensor<1>) {
    let weight = tensor(2, [n, k], device) / (k as f64).sqrt();
    (tensor(1, [m, k], device), weight, tensor(3, [n], device))
}

fn expected(size: [usize; 3], biased: bool, gelu: bool) -> Vec<f32> {
    let (x, weight, bias) = operands(size, &reference_device());
    let y = reference::linear(x, weight, biased.then_some(bias), gelu);
    y.into_data().try_into_vec().unwrap()
}

#[test]
fn a_layer_is_its_parts() {
    for TestDevice { name, device, .. } in &devices() {
        for &size in sizes(device) {
            for (biased, gelu) in [(false, false), (false, true), (true, false), (true, true)] {
                let (x, weight, bias) = operands(size, device);
                let y = linear(x, weight, biased.then_some(bias), gelu);
                let what = format!("{name} {size:?} bias {biased} gelu {gelu}");
                let expected = expected(size, biased, gelu);
                assert_close(&what, y, (&[size[0], size[2]], &expected), Tolerance::MODULE);
            }
        }
    }
}

#[test]
fn weights_in_halves() {
    for TestDevice { name, device, .. } in devices().iter().filter(|device| device.name != "ndarray") {
        for (dtype, tolerance) in [(DType::F16, F16), (DType::BF16, BF16)] {
            if !device.supports_dtype(dtype) {
                continue;
            }
            for &size in sizes(device) {
                let (x, weight, bias) = operands(size, device);
                let y = linear(x, weight.cast(dtype), Some(bias), true).cast(DType::F32);
                let expected = expected(size, true, true);
                let what = format!("{name} {size:?} {dtype:?}");
                assert_close(&what, y, (&[size[0], size[2]], &expected), tolerance);
            }
        }
    }
}

/// More than a tile of rows and columns, whole pieces and ends of tiles, with and without bias and GELU.
#[test]
fn matrix_units_take_layers_in_halves() {
    for TestDevice { name, device, .. } in &devices() {
        let Some(tiles) = matrix_tiles(&DeviceCaps::of(device)) else {
            if DeviceCaps::of(device).kind == DeviceKind::Cube {
                report_skip(name, "no matrix units that layers can use");
            }
            continue;
        };
        let [rows, columns] = tiles.size();
        for [m, k, n] in [[rows, tiles.depth, columns], [rows + 1, 96, 68], [37, 160, 2 * columns - 4]] {
            for (biased, gelu) in [(false, false), (false, true), (true, false), (true, true)] {
                let (x, weight, bias) = operands([m, k, n], device);
                let y = linear(x, weight.cast(DType::F16), biased.then_some(bias), gelu).cast(DType::F32);
                let what = format!("{name} {m} {k} {n} bias {biased} gelu {gelu}");
                assert_close(&what, y, (&[m, n], &expected([m, k, n], biased, gelu)), F16);
            }
        }
    }
}

/// Views with strides, and a part of a larger tensor.
#[test]
fn operands_that_are_views() {
    let device = Device::flex();
    let (x, weight, bias) = operands([40, 50, 30], &device);
    let expected = linear(x.clone(), weight.clone(), Some(bias.clone()), false).into_data();
    let turned = |x: Tensor<2>| (x.transpose() * 1.0).transpose();
    let found = linear(turned(x.clone()), turned(weight.clone()), Some(bias.clone()), false).into_data();
    assert_eq!(found, expected);
    let part = linear(x.slice([10..40, 0..50]), weight.slice([5..30, 0..50]), Some(bias.slice(5..30)), false);
    let whole = Tensor::<2>::from_data(expected, &device).slice([10..40, 5..30]);
    assert_eq!(part.into_data(), whole.into_data());
}

/// A row's result does not depend on how many others there are: what is computed for one prompt or for two is equal.
#[test]
fn rows_do_not_depend_on_each_other() {
    let device = Device::flex();
    let (x, weight, bias) = operands([700, 400, 120], &device);
    let all = linear(x.clone(), weight.clone(), Some(bias.clone()), true);
    for rows in [0..9, 100..612, 3..700] {
        let some = linear(x.clone().slice([rows.clone(), 0..400]), weight.clone(), Some(bias.clone()), true);
        assert_eq!(some.into_data(), all.clone().slice([rows, 0..120]).into_data());
    }
}

/// Infinities and NaN stay in their rows and columns.
#[test]
fn what_is_not_finite_stays_where_it_is() {
    let device = Device::flex();
    let (x, weight, _) = operands([40, 50, 30], &device);
    let clean = linear(x.clone(), weight.clone(), None, false).into_data().try_into_vec::<f32>().unwrap();
    let x = x.slice_assign([7..8, 3..4], Tensor::full([1, 1], f32::NAN, &device));
    let found = linear(x, weight, None, false).into_data().try_into_vec::<f32>().unwrap();
    for (row, (found, clean)) in found.chunks(30).zip(clean.chunks(30)).enumerate() {
        if row == 7 {
            assert!(found.iter().all(|value| value.is_nan()));
        } else {
            assert_eq!(relative_l2(found, clean), 0.0, "row {row}");
        }
    }
}

#[test]
#[should_panic(expected = "rows of 5 values, a weight of 3 by 4, 3 biases")]
fn shapes_that_do_not_fit_are_refused() {
    let device = Device::flex();
    let zeros = |shape: [usize; 2]| Tensor::<2>::zeros(shape, &device);
    let _ = linear(zeros([2, 5]), zeros([3, 4]), None, false);
}
