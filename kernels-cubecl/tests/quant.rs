//! Quantizers against goldens, products with quantized weights against references on every device.
#![allow(clippy::unwrap_used)]

use burn::{
    prelude::*,
    tensor::{DType, FloatDType},
};
use testkit::{Golden, TestDevice, Tolerance, assert_close, devices, normal, relative_l2, tensor};
use wan_kernels::{
    Absmax, DYNAMIC_MAP_LEN, DeviceCaps, DeviceKind, Int8Weight, NF4, NF4_BLOCK, NestedScales, Nf4Weight,
    QuantizedMatrix, Scales, dynamic_map, fallbacks, matmul_int8, matmul_nf4, nest, quantize_int8,
    quantize_nf4, reference,
};

/// The same codes and scales, sums of products in another order.
const F32: Tolerance = Tolerance(2e-6);
/// Means of some hundred maxima, and 10^-6 to 1, in another order of rounding.
const ROUNDING: f64 = 1e-6;
/// The published error of eight bits on normal values: a step is the largest value's 127th.
const INT8_ERROR: std::ops::Range<f64> = 4e-3..1.2e-2;
/// Of blocks of 64.
const INT8_BLOCK_ERROR: std::ops::Range<f64> = 3e-3..8e-3;
/// And of nf4.
const NF4_ERROR: std::ops::Range<f64> = 5e-2..9.5e-2;

/// n and k of the golden.
const SIZE: [usize; 2] = [21, 192];

fn golden_bytes(golden: &Golden, key: &str) -> Vec<i64> {
    golden.get(key).1.iter().map(|&value| value as i64).collect()
}

/// All forms of one weight: those of eight bits by row and by block, and those of four.
fn forms(values: &[f32], n: usize, k: usize, device: &Device) -> Vec<(&'static str, QuantizedMatrix)> {
    let int8 = |block, dtype| quantize_int8(values, n, k, block).unwrap().on(dtype, device);
    let nf4 = quantize_nf4(values, n, k).unwrap();
    let mut forms = vec![
        ("int8 by row", int8(k, DType::F32)),
        ("int8 by block", int8(64, DType::F32)),
        ("nf4", nf4.on(DType::F32, device)),
        ("nf4 nested", nf4.nested_on(&nest(&nf4.absmax), device)),
    ];
    if stores_f16(device) {
        forms.push(("int8 by block of 32, f16", int8(32, DType::F16)));
        forms.push(("nf4, f16", nf4.on(DType::F16, device)));
    }
    forms
}

/// burn-ndarray does not.
fn stores_f16(device: &Device) -> bool {
    let caps = DeviceCaps::of(device);
    caps.kind != DeviceKind::Other && caps.handles(DType::F16)
}

/// Through the portable code on the same device.
fn plain(weight: QuantizedMatrix, x: Tensor<2>) -> Tensor<2> {
    let (words, scales) = weight.into_parts();
    match scales {
        Scales::Int8(scales) => reference::matmul_int8(x, words, scales),
        Scales::Nf4(absmax) => reference::matmul_nf4(x, words, absmax),
    }
}

fn host(x: Tensor<2>) -> Vec<f32> {
    x.into_data().convert::<f32>().try_to_vec().unwrap()
}

#[test]
fn int8_is_the_published_quantization() {
    let golden = Golden::load("quant");
    let [n, k] = SIZE;
    for (name, block) in [("row", k), ("block", 64)] {
        let weight = quantize_int8(golden.get("w").1, n, k, block).unwrap();
        let codes: Vec<i64> = weight.bytes.iter().map(|&code| code.into()).collect();
        assert_eq!(codes, golden_bytes(&golden, &format!("int8.{name}.codes")), "{name}");
        assert_eq!(weight.scales, golden.get(&format!("int8.{name}.scales")).1, "{name}");
    }
}

#[test]
fn nf4_is_the_published_quantization() {
    let golden = Golden::load("quant");
    let [n, k] = SIZE;
    let weight = quantize_nf4(golden.get("w").1, n, k).unwrap();
    let packed: Vec<i64> = weight.packed.iter().map(|&byte| byte.into()).collect();
    assert_eq!(packed, golden_bytes(&golden, "nf4.packed"));
    assert_eq!(weight.absmax, golden.get("nf4.absmax").1);
    assert_eq!(weight.dequantize(), golden.get("nf4.values").1);
}

#[test]
fn maxima_are_nested_as_published() {
    let golden = Golden::load("quant");
    let (map, expected) = (dynamic_map(), golden.get("map").1);
    assert_eq!(map.len(), DYNAMIC_MAP_LEN);
    assert!(relative_l2(&map, expected) < ROUNDING);
    assert!(map.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 1e-7 * b.abs().max(1e-6)), "{map:?}");
    let nested = nest(golden.get("nest.maxima").1);
    let codes: Vec<i64> = nested.codes.iter().map(|&code| code.into()).collect();
    assert_eq!(codes, golden_bytes(&golden, "nest.codes"));
    assert!(relative_l2(&nested.absmax, golden.get("nest.absmax").1) < ROUNDING);
    assert!(relative_l2(&[nested.offset], golden.get("nest.offset").1) < ROUNDING);
    let values = nested.dequantize();
    assert!(relative_l2(&values, golden.get("nest.values").1) < ROUNDING);
    // A byte for each holds them to a hundredth of their spread.
    assert!(relative_l2(&values, golden.get("nest.maxima").1) < 1e-2);
}

#[test]
fn products_are_those_of_the_golden() {
    let golden = Golden::load("quant");
    let [n, k] = SIZE;
    let w = golden.get("w").1;
    for TestDevice { name, device, .. } in &devices() {
        let x = golden.tensor::<2>("x", device);
        let int8 = |block| quantize_int8(w, n, k, block).unwrap().on(DType::F32, device);
        let nf4 = quantize_nf4(w, n, k).unwrap().on(DType::F32, device);
        for (key, weight) in [("int8.row", int8(k)), ("int8.block", int8(64)), ("nf4", nf4)] {
            assert_eq!(weight.dims(), SIZE, "{key}");
            let expected = golden.get(&format!("{key}.product"));
            assert_close(&format!("{name} {key}"), weight.matmul(x.clone()), expected, F32);
        }
    }
}

/// Rows on either side of tiles and of the host's two roads; outputs that fill no tile and several; depths of one block
/// and more than a panel, some that are no multiple of the kernel's step.
#[test]
fn products_match_the_references() {
    let sizes = [
        (1, 1, 64),
        (1, 70, 320),
        (3, 97, 192),
        (8, 7, 576),
        (9, 130, 64),
        (17, 64, 320),
        (66, 33, 128),
        (130, 65, 64),
    ];
    for TestDevice { name, device, .. } in &devices() {
        for (m, n, k) in sizes {
            let values = normal(7, n * k);
            for (form, weight) in forms(&values, n, k, device) {
                let single = n.is_multiple_of(2) || !stores_f16(device);
                for dtype in [FloatDType::F32, FloatDType::F16].into_iter().take(if single { 1 } else { 2 }) {
                    let x = tensor::<2>(m as u64, [m, k], device).cast(dtype);
                    let expected = host(plain(weight.clone(), x.clone()));
                    let y = weight.matmul(x);
                    assert_eq!(y.dtype(), DType::F32);
                    let error = relative_l2(&host(y), &expected);
                    assert!(error <= F32.0, "{name} {form} {m} x {n} x {k} {dtype:?}: {error:.1e}");
                }
            }
        }
    }
    assert_eq!(fallbacks(), vec![]);
}

/// A depth that ends inside the kernel's step and the host's vectors.
#[test]
fn depths_of_few_words() {
    for TestDevice { name, device, .. } in &devices() {
        for (m, k) in [(2, 8), (12, 8), (5, 24), (20, 40)] {
            let weight = quantize_int8(&normal(3, 5 * k), 5, k, 8).unwrap();
            let x = tensor::<2>(4, [m, k], device);
            let dense = Tensor::<1>::from_data(&*weight.dequantize(), device).reshape([5, k]);
            let expected = host(x.clone().matmul(dense.transpose()));
            let error = relative_l2(&host(weight.on(DType::F32, device).matmul(x)), &expected);
            assert!(error <= F32.0, "{name} {m} x {k}: {error:.1e}");
        }
    }
}

/// More rows of activations than the host dequantizes a weight for at a time.
#[test]
fn long_batches_on_the_host() {
    let device = Device::flex();
    let (m, n, k) = (1_100, 101, 320);
    let values = normal(11, n * k);
    let x = tensor::<2>(12, [m, k], &device);
    for (form, weight) in forms(&values, n, k, &device) {
        let expected = host(plain(weight.clone(), x.clone()));
        let error = relative_l2(&host(weight.matmul(x.clone())), &expected);
        assert!(error <= F32.0, "{form}: {error:.1e}");
    }
}

/// Activations and weights whose rows do not follow each other.
#[test]
fn views_are_read_in_order() {
    for TestDevice { name, device, .. } in &devices() {
        let (words, scales) = match forms(&normal(5, 12 * 128), 12, 128, device).remove(1).1.into_parts() {
            (words, Scales::Int8(scales)) => (words, scales),
            other => panic!("{other:?}"),
        };
        let x = tensor::<2>(6, [140, 20], device).transpose().slice([1..18, 4..132]);
        let (words, scales) = (words.slice_dim(0, 2..9), scales.slice_dim(0, 2..9));
        let expected = host(reference::matmul_int8(x.clone(), words.clone(), scales.clone()));
        let error = relative_l2(&host(matmul_int8(x, words, scales)), &expected);
        assert!(error <= F32.0, "{name}: {error:.1e}");
    }
}

/// Normal weights, as those of a network nearly are, of a layer's width.
#[test]
fn errors_are_the_published_ones() {
    let device = Device::flex();
    let (m, n, k) = (16, 256, 5_120);
    let values = normal(1, n * k);
    let x = tensor::<2>(2, [m, k], &device);
    let dense = Tensor::<1>::from_data(&*values, &device).reshape([n, k]);
    let exact = host(x.clone().matmul(dense.transpose()));
    for (form, weight) in forms(&values, n, k, &device) {
        let error = relative_l2(&host(weight.matmul(x.clone())), &exact);
        let range = match form {
            "int8 by row" => INT8_ERROR,
            form if form.starts_with("int8") => INT8_BLOCK_ERROR,
            _ => NF4_ERROR,
        };
        assert!(range.contains(&error), "{form}: {error:.2e}");
    }
}

#[test]
fn bytes_are_those_of_the_codes_and_scales() {
    let device = Device::flex();
    let (n, k) = (64, 1_536);
    let per_value = |weight: QuantizedMatrix| weight.bytes() as f64 / (n * k) as f64;
    let expected = [
        ("int8 by row", 1.0 + 4.0 / 1_536.0),
        ("int8 by block", 1.0625),
        ("int8 by block of 32, f16", 1.0625),
        ("nf4", 0.5625),
        ("nf4, f16", 0.53125),
    ];
    let mut forms = forms(&normal(1, n * k), n, k, &device);
    for (form, expected) in expected {
        let at = forms.iter().position(|(name, _)| *name == form).unwrap();
        assert_eq!(per_value(forms.swap_remove(at).1), expected, "{form}");
    }
    // The map is one KiB whatever the size.
    let nf4 = quantize_nf4(&normal(1, n * k), n, k).unwrap();
    let nested = nf4.nested_on(&nest(&nf4.absmax), &device).bytes() - 1_024;
    assert!((nested as f64 / (n * k) as f64 - 0.5 - 1.0 / 64.0 - 4.0 / 16_384.0).abs() < 1e-6);
}

/// A block of zeros, tiny values, and what is not a number.
#[test]
fn quantizers_bear_anything() {
    let mut values = vec![0.0f32; 256];
    values[64..128].fill(f32::MIN_POSITIVE / 8.0);
    values[130] = f32::NAN;
    values[131] = 2.0;
    values[192..256].fill(-3.0);
    let int8 = quantize_int8(&values, 2, 128, 64).unwrap();
    assert_eq!((&int8.bytes[..64], int8.scales[0]), (&[0; 64][..], 0.0));
    assert_eq!((int8.bytes[130], int8.bytes[131], int8.bytes[255]), (0, 127, -127));
    let nf4 = quantize_nf4(&values, 2, 128).unwrap();
    assert_eq!((&nf4.packed[..32], nf4.absmax[0]), (&[0x77; 32][..], 0.0));
    assert_eq!((nf4.packed[65] & 15, nf4.packed[127]), (15, 0));
    assert!(int8.dequantize()[..64].iter().chain(&nf4.dequantize()[..64]).all(|&value| value == 0.0));
    assert_eq!(nest(&[2.0; 5]).dequantize(), [2.0; 5]);
    assert_eq!(nest(&[]), NestedScales { codes: vec![], absmax: vec![], offset: 0.0 });
}

#[test]
fn what_does_not_fit_is_an_error() {
    let device = Device::flex();
    let values = vec![1.0; 4 * 96];
    let error = quantize_nf4(&values, 4, 96).unwrap_err();
    let expected = "quantize_nf4: 384 values for [4, 96] in blocks of 64; a multiple of 8 that divides 96";
    assert_eq!(error.to_string(), expected);
    assert!(quantize_int8(&values, 4, 96, 64).is_err() && quantize_int8(&values, 4, 96, 12).is_err());
    assert!(quantize_int8(&values, 5, 96, 96).is_err() && quantize_int8(&values, 4, 96, 0).is_err());
    let weight = quantize_int8(&values, 4, 96, 32).unwrap().on(DType::F32, &device);
    let (words, scales) = weight.into_parts();
    let Scales::Int8(scales) = scales else { panic!("{scales:?}") };
    let parts = |words: &Tensor<2, Int>, scales| QuantizedMatrix::from_parts(words.clone(), scales);
    assert!(parts(&words, Scales::Int8(scales.clone())).is_ok());
    // Of a row too few, of a block of 24 / 5 words, in a dtype that is not stored, and for codes that are not words.
    assert!(parts(&words, Scales::Int8(scales.clone().slice_dim(0, 0..3))).is_err());
    assert!(parts(&words, Scales::Int8(Tensor::zeros([4, 5], &device))).is_err());
    assert!(parts(&words, Scales::Int8(scales.clone().cast(DType::BF16))).is_err());
    let bytes = Tensor::<2, Int>::zeros([4, 24], (&device, DType::I32));
    assert!(parts(&bytes, Scales::Int8(scales)).is_err());
    let nested = nest(&[1.0; 12]).on(16, &device);
    assert!(parts(&words, Scales::Nf4(Absmax::Nested(nested.clone()))).is_err());
    let words = Tensor::<2, Int>::zeros([4, 6], (&device, DType::U32));
    assert!(parts(&words, Scales::Nf4(Absmax::Nested(nested))).is_ok());
}

/// What maps the parameters of a network leaves codes and scales alone; what moves it does not.
#[test]
fn codes_are_no_parameters() {
    let devices = devices();
    let weight = quantize_int8(&normal(1, 4 * 64), 4, 64, 64).unwrap().on(DType::F32, &devices[1].device);
    assert_eq!(weight.num_params(), 0);
    let x = tensor::<2>(2, [3, 64], &devices[1].device);
    let expected = host(weight.matmul(x));
    for TestDevice { name, device, .. } in &devices {
        let moved = weight.clone().to_device(device);
        let y = moved.matmul(tensor(2, [3, 64], device));
        assert_eq!(y.device(), *device);
        assert!(relative_l2(&host(y), &expected) <= F32.0, "{name}");
    }
}

/// A weight is what stands in a file, so that it can be mapped.
#[test]
fn words_are_bytes_in_their_order() {
    let device = Device::flex();
    let int8 = Int8Weight { bytes: (0..8).collect(), scales: vec![1.0], n: 1, k: 8, block: 8 };
    let (words, _) = int8.on(DType::F32, &device).into_parts();
    assert_eq!(words.into_data().bytes().to_vec(), (0..8).collect::<Vec<u8>>());
    // Memory that is laid out so is taken as it is.
    let mapped = TensorData::new((0..16u32).collect::<Vec<_>>(), [4, 4]);
    let start = mapped.bytes().as_ptr();
    let words = Tensor::<2, Int>::from_data(mapped, (&device, DType::U32));
    let scales = Scales::Int8(Tensor::ones([4, 1], &device));
    let matrix = QuantizedMatrix::from_parts(words, scales).unwrap();
    assert_eq!(matrix.into_parts().0.into_data().bytes().as_ptr(), start);
    let nf4 = Nf4Weight { packed: (0..32).collect(), absmax: vec![1.0], n: 1, k: 64, block: NF4_BLOCK };
    let (words, scales) = nf4.on(DType::F32, &device).into_parts();
    assert_eq!(words.clone().into_data().bytes().to_vec(), (0..32).collect::<Vec<u8>>());
    let Scales::Nf4(absmax) = scales else { panic!("{scales:?}") };
    // The fourth byte, 3, is the codes 0 and 3 of columns 6 and 7.
    let mut x = vec![0.0; 128];
    (x[6], x[64 + 7]) = (1.0, 1.0);
    let x = Tensor::<1>::from_data(&*x, &device).reshape([2, 64]);
    assert_eq!(host(matmul_nf4(x, words, absmax)), [NF4[0], NF4[3]]);
}
