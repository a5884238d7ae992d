//! Attention on every device against its definition: odd sizes, windows, rotation, half precision, small budgets.

use std::sync::Arc;

use burn::{
    backend::DispatchDevice,
    prelude::*,
    tensor::{DType, activation::softmax},
};
use cubecl::{
    CubeKernel,
    features::MmaConfig,
    ir::{ElemType, FloatKind},
    prelude::{BufferArg, CubeCount, CubeDim},
};
use testkit::{TestDevice, Tolerance, assert_close, devices, reference_device, tensor};
use wan_kernels::{
    RopeTable, Window, attention,
    kernels::attention::{
        Form, SizesLaunch, StridesLaunch,
        matrix::{Units, matrix_attention_kernel},
        units,
    },
    padded_attention, reference, rope_attention, window_attention,
};

/// Softmax, two products and a rotation with f16 inputs, sums in f32: 2^-11 per rounding, some six roundings deep.
const F16: Tolerance = Tolerance(3e-3);

/// The definition, with the whole score matrix; on the reference backend.
fn definition(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, window: Option<Window>) -> Vec<f32> {
    let ([_, _, lq, d], lk) = (q.dims(), k.dims()[2]);
    let mut scores = q.matmul(k.swap_dims(2, 3)) * (d as f64).powf(-0.5);
    if let Some(window) = window {
        let sees = |row: usize, key: usize| {
            let distance = (row + lk).saturating_sub(lq).min(lk - 1).abs_diff(key);
            if distance < window.size || key < window.sink { 0.0 } else { -1e30f32 }
        };
        let mask: Vec<f32> = (0..lq).flat_map(|row| (0..lk).map(move |key| sees(row, key))).collect();
        scores = scores + Tensor::from_data(TensorData::new(mask, [1, 1, lq, lk]), &reference_device());
    }
    softmax(scores, 3).matmul(v).into_data().try_to_vec().expect("f32")
}

fn qkv([b, h, lq, lk, d]: [usize; 5], device: &Device) -> [Tensor<4>; 3] {
    [
        tensor(1, [b, h, lq, d], device) * 2.0,
        tensor(2, [b, h, lk, d], device),
        tensor(3, [b, h, lk, d], device),
    ]
}

/// Every length and width that starts, ends or straddles a tile, panel or vector.
const SHAPES: [[usize; 5]; 8] = [
    [1, 1, 1, 1, 16],
    [1, 3, 3, 17, 32],
    [2, 3, 37, 130, 48],
    [1, 3, 65, 17, 80],
    [2, 1, 65, 130, 128],
    [1, 2, 5, 1, 22],
    [1, 1, 130, 64, 22],
    [1, 2, 1, 300, 16],
];

#[test]
fn matches_the_definition() {
    for TestDevice { name, device, .. } in &devices() {
        for shape in SHAPES {
            let [q, k, v] = qkv(shape, &reference_device());
            let expected = definition(q, k, v, None);
            let [q, k, v] = qkv(shape, device);
            let dims = [shape[0], shape[1], shape[2], shape[4]];
            let what = format!("{name} {shape:?}");
            assert_close(&what, attention(q, k, v), (&dims, &expected), Tolerance::MODULE);
        }
    }
}

/// The last key counted several times and as many copies of it are one.
#[test]
fn the_last_key_stands_for_several() {
    for TestDevice { name, device, .. } in &devices() {
        for (shape, times) in SHAPES.into_iter().zip([1, 2, 7, 30, 491, 512, 3, 200]) {
            let [b, h, lq, lk, d] = shape;
            let [q, k, v] = qkv(shape, &reference_device());
            let repeated = |x: Tensor<4>| {
                let last = x.clone().narrow(2, lk - 1, 1);
                Tensor::cat([x].into_iter().chain(vec![last; times - 1]).collect(), 2)
            };
            let expected = definition(q, repeated(k), repeated(v), None);
            let [q, k, v] = qkv(shape, device);
            let what = format!("{name} {shape:?} {times}");
            let found = padded_attention(q, k, v, times);
            assert_close(&what, found, (&[b, h, lq, d], &expected), Tolerance::MODULE);
        }
    }
}

/// Heads wider than the kernels take, as in the autoencoders.
#[test]
fn wide_heads_take_another_road() {
    let shape = [1, 1, 9, 20, 200];
    let [q, k, v] = qkv(shape, &reference_device());
    let expected = definition(q, k, v, None);
    for TestDevice { name, device, .. } in &devices() {
        let [q, k, v] = qkv(shape, device);
        assert_close(name, attention(q, k, v), (&[1, 1, 9, 200], &expected), Tolerance::MODULE);
    }
}

/// Enough keys and rows for several blocks of keys and several tasks of the twin, where a running maximum rises and
/// a sum is scaled down; on the host alone, as a software adapter would take minutes.
#[test]
fn long_rows_on_the_host() {
    let shape = [1, 2, 700, 900, 32];
    let [q, k, v] = qkv(shape, &reference_device());
    let expected = definition(q, k, v, None);
    let [q, k, v] = qkv(shape, &Device::flex());
    assert_close("cpu", attention(q, k, v), (&[1, 2, 700, 32], &expected), Tolerance::MODULE);
}

/// Scores that rise and fall by hundreds from key to key.
#[test]
fn large_scores_stay_finite() {
    let shape = [1, 1, 5, 150, 16];
    let scaled = |device: &Device| {
        let [q, k, v] = qkv(shape, device);
        [q * 40.0, k * 10.0, v]
    };
    let [q, k, v] = scaled(&reference_device());
    let expected = definition(q, k, v, None);
    for TestDevice { name, device, .. } in &devices() {
        let [q, k, v] = scaled(device);
        assert_close(name, attention(q, k, v), (&[1, 1, 5, 16], &expected), Tolerance::MODULE_GPU);
    }
}

#[test]
fn windows_and_sinks_hide_the_rest() {
    let cases = [
        ([1, 2, 37, 130, 16], Window { size: 5, sink: 2 }),
        ([1, 1, 200, 200, 16], Window { size: 20, sink: 0 }),
        ([1, 1, 70, 30, 16], Window { size: 1, sink: 0 }),
        ([1, 1, 66, 70, 16], Window { size: usize::MAX, sink: 0 }),
        ([1, 1, 140, 140, 16], Window { size: 3, sink: 70 }),
    ];
    for TestDevice { name, device, .. } in &devices() {
        for (shape, window) in cases {
            let [q, k, v] = qkv(shape, &reference_device());
            let expected = definition(q, k, v, Some(window));
            let [q, k, v] = qkv(shape, device);
            let dims = [shape[0], shape[1], shape[2], shape[4]];
            let what = format!("{name} {shape:?} {window:?}");
            assert_close(&what, window_attention(q, k, v, window), (&dims, &expected), Tolerance::MODULE);
        }
    }
}

/// Against the rotation and the definition one after the other.
#[test]
fn rotates_while_loading() {
    for TestDevice { name, device, .. } in &devices() {
        for (grid, heads, d) in [([1, 1, 1], 1, 16), ([3, 5, 5], 2, 80), ([2, 5, 7], 1, 22)] {
            let dims = [2, grid.iter().product(), heads, d];
            let at = |device: &Device| [1, 2, 3].map(|seed| tensor::<4>(seed, dims, device));
            let table = RopeTable::new(grid, d, &reference_device());
            let [q, k, v] = at(&reference_device());
            let rotated = |x| reference::rope3d(x, &table).swap_dims(1, 2);
            let y = definition(rotated(q), rotated(k), v.swap_dims(1, 2), None);
            let by_head = [dims[0], dims[2], dims[1], d];
            let y = Tensor::<4>::from_data(TensorData::new(y, by_head), &reference_device()).swap_dims(1, 2);
            let expected = y.into_data().try_to_vec::<f32>().expect("f32");
            let [q, k, v] = at(device);
            let y = rope_attention(q, k, v, &RopeTable::new(grid, d, device));
            assert_close(&format!("{name} {grid:?}"), y, (&dims, &expected), Tolerance::MODULE);
            if device.supports_dtype(DType::F16) && *name != "ndarray" {
                let [q, k, v] = at(device).map(|x| x.cast(DType::F16));
                let y = rope_attention(q, k, v, &RopeTable::new(grid, d, device)).cast(DType::F32);
                assert_close(&format!("{name} {grid:?} in f16"), y, (&dims, &expected), F16);
            }
        }
    }
}

/// Views by head of operands by token, a slice of a longer sequence, and a broadcast head.
#[test]
fn views_are_read_in_place() {
    let (dims, length) = ([1, 3, 40, 16], 25);
    let views = |device: &Device| {
        let token_major = tensor::<4>(1, [1, 40, 3, 16], device).swap_dims(1, 2);
        let slice = tensor::<4>(2, dims, device).slice_dim(2, 9..9 + length);
        let broadcast = tensor::<4>(3, [1, 1, length, 16], device).expand([1, 3, length, 16]);
        [token_major, slice, broadcast]
    };
    let [q, k, v] = views(&reference_device());
    let expected = definition(q, k, v, None);
    for TestDevice { name, device, .. } in &devices() {
        let [q, k, v] = views(device);
        assert_close(name, attention(q, k, v), (&dims, &expected), Tolerance::MODULE);
    }
}

/// Budgets that force one row at a time, part of a head, and several heads with a remainder.
#[test]
fn blocks_do_not_change_the_result() {
    let shape = [2, 5, 37, 19, 16];
    let [q, k, v] = qkv(shape, &reference_device());
    let expected = definition(q, k, v, None);
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
    let shape = [1, 2, 33, 65, 32];
    let [q, k, v] = qkv(shape, &reference_device());
    let expected = definition(q, k, v, None);
    for TestDevice { name, device, .. } in devices().iter().filter(|d| d.name != "ndarray") {
        if !device.supports_dtype(DType::F16) {
            continue;
        }
        let [q, k, v] = qkv(shape, device).map(|x| x.cast(DType::F16));
        let y = attention(q, k, v);
        assert_eq!(y.dtype(), DType::F16, "{name}");
        assert_close(name, y.cast(DType::F32), (&[1, 2, 33, 32], &expected), F16);
    }
}

/// Odd lengths and widths, windows and a rotation in f16, which run on matrix units where there are some.
#[test]
fn f16_is_right_at_every_edge() {
    let none = None;
    let window = |size, sink| Some(Window { size, sink });
    let cases = [
        ([1, 2, 33, 65, 16], none),
        ([2, 3, 67, 130, 64], none),
        ([2, 1, 65, 37, 128], none),
        ([1, 2, 37, 130, 16], window(5, 2)),
        ([1, 1, 200, 200, 16], window(20, 0)),
        ([1, 1, 140, 140, 16], window(3, 70)),
    ];
    for TestDevice { name, device, .. } in devices().iter().filter(|d| d.gpu) {
        for (shape, window) in cases {
            let [q, k, v] = qkv(shape, &reference_device());
            let expected = definition(q, k, v, window);
            let [q, k, v] = qkv(shape, device).map(|x| x.cast(DType::F16));
            let y = match window {
                Some(window) => window_attention(q, k, v, window),
                None => attention(q, k, v),
            };
            let dims = [shape[0], shape[1], shape[2], shape[4]];
            let what = format!("{name} {shape:?} {window:?}");
            assert_close(&what, y.cast(DType::F32), (&dims, &expected), F16);
        }
    }
}

/// Shared memory every adapter in mind has: 32 KB on Metal.
const SHARED_MEMORY: usize = 32_768;

#[test]
fn cubes_fit_the_shared_memory() {
    const {
        assert!(units::SHARED_BYTES <= SHARED_MEMORY);
        let metal =
            Units { edge: 8, plane: 32, planes: 4, rows: 16, keys: 32, packed: false, together: false };
        assert!(metal.shared_bytes(128) <= SHARED_MEMORY);
    }
}

/// The form for matrix units is expanded, which checks it as far as no device with such units is needed: every
/// matrix is of a kind the device claims, every loop that must be unrolled is.
#[test]
fn the_matrix_form_expands_for_the_tiles_of_vulkan_and_metal() {
    let Some(TestDevice { device, .. }) = devices().into_iter().find(|d| d.gpu) else { return };
    let DispatchDevice::Cube(cube) = device.as_dispatch() else {
        panic!("a graphics adapter is a CubeCL device")
    };
    let client = cube.client();
    let strides = || StridesLaunch::new(0, 0, 0);
    let buffer = || unsafe { BufferArg::from_raw_parts(client.empty(64), 4) };
    let sides = [(16, 32, 128), (16, 64, 80), (8, 32, 48), (8, 16, 16), (8, 8, 64)];
    for ((edge, plane, d), packed) in
        sides.into_iter().flat_map(|all| [false, true].map(|packed| (all, packed)))
    {
        let units = Units { edge, plane, planes: 4, rows: 16, keys: 32, packed, together: plane == 8 };
        for (rotate, window) in [(false, false), (true, false), (false, true)] {
            let mut properties = client.properties().clone();
            let half = ElemType::Float(FloatKind::F16);
            let (m, cd_type) = (edge as u32, ElemType::Float(FloatKind::F32));
            let tile = MmaConfig { a_type: half, b_type: half, cd_type, m, n: m, k: m };
            properties.features.matmul.cmma.insert(tile);
            let kernel = matrix_attention_kernel::create_dummy_kernel(
                Arc::new(properties),
                client.target_properties_shared(),
                CubeCount::Static(1, 1, 1),
                CubeDim::new_2d(plane as u32, units.planes as u32),
                buffer(),
                buffer(),
                buffer(),
                buffer(),
                buffer(),
                buffer(),
                strides(),
                strides(),
                strides(),
                SizesLaunch::new(1, 1, 1, 1, 0, 1, 1, 0),
                1.0,
                Form { d, rotate, window },
                units,
                units.elems(),
            );
            let errors = kernel.define().body.pop_errors();
            assert!(errors.is_empty(), "{units:?} {d}: {errors:?}");
        }
    }
}
