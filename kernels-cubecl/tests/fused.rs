//! Every fused operation against its reference on every device, at odd shapes, in f32 and f16, and by which road.
#![allow(clippy::unwrap_used)]

use burn::{
    prelude::*,
    tensor::{DType, FloatDType},
};
use testkit::{TestDevice, Tolerance, assert_close, devices, relative_l2, report_skip, tensor};
use wan_kernels::{
    DeviceCaps, DeviceKind, FUSED, GuidanceStep, Mode, Road, RopeTable, fallbacks, gate_residual, gelu,
    gelu_bias, guidance_step, norm_modulate, reference, rms_norm, rms_norm_rope, road, silu,
};

const EPS: f64 = 1e-6;

/// Rows and columns that fill no vector, no cube, several cubes.
const SHAPES: [[usize; 3]; 6] =
    [[1, 1, 10], [2, 3, 96], [1, 37, 130], [2, 5, 33], [1, 2, 1536], [1, 1, 2052]];

/// f32 in and out: other orders of summation, approximate exp and square root.
const F32: Tolerance = Tolerance(1e-5);
/// f16 in and out, f32 between: 2^-11 per rounding of the result, and a margin.
const F16: Tolerance = Tolerance(3e-3);

/// The dtypes that own kernels take on a device, with what they may cost.
fn dtypes(device: &Device) -> Vec<(FloatDType, Tolerance)> {
    let caps = DeviceCaps::of(device);
    let mut dtypes = vec![(FloatDType::F32, F32)];
    match caps.handles(DType::F16) {
        true if caps.kind == DeviceKind::Other => {}
        true => dtypes.push((FloatDType::F16, F16)),
        false => report_skip(&caps.name, "no f16"),
    }
    dtypes
}

/// Runs `check` for every device, dtype and shape.
fn everywhere(check: impl Fn(&str, &Device, [usize; 3], FloatDType, Tolerance)) {
    for TestDevice { name, device, .. } in &devices() {
        for (dtype, tolerance) in dtypes(device) {
            for shape in SHAPES {
                check(&format!("{name} {shape:?} {dtype:?}"), device, shape, dtype, tolerance);
            }
        }
    }
}

/// Compares with an expectation on the host, so that the reference is not run by the code under test.
fn close<const D: usize>(what: &str, actual: Tensor<D>, expected: Tensor<D>, tolerance: Tolerance) {
    assert_eq!(actual.dtype(), expected.dtype(), "{what}: dtype");
    let expected = expected.into_data().convert::<f32>();
    let shape = expected.shape().to_vec();
    assert_close(what, actual, (&shape, expected.as_slice().unwrap()), tolerance);
}

fn random<const D: usize>(seed: u64, shape: [usize; D], device: &Device, dtype: FloatDType) -> Tensor<D> {
    tensor(seed, shape, device).cast(dtype)
}

#[test]
fn norm_modulate_matches() {
    everywhere(|what, device, shape @ [b, l, d], dtype, tolerance| {
        for modulation in [[1, 1, d], [b, l, d], [b, 1, d], [1, l, d]] {
            // Far from zero, where a variance from sums of squares would have no digits left.
            let x = tensor::<3>(1, shape, device) + 100.0;
            let x = x.cast(dtype);
            let scale = tensor(2, modulation, device);
            let shift = random(3, modulation, device, dtype);
            let expected = reference::norm_modulate(x.clone(), scale.clone(), shift.clone(), EPS);
            let y = norm_modulate(x, scale, shift, EPS);
            let tolerance = if dtype == FloatDType::F32 { Tolerance(4e-5) } else { tolerance };
            close(&format!("{what} {modulation:?}"), y, expected, tolerance);
        }
    });
}

#[test]
fn rms_norm_matches() {
    everywhere(|what, device, shape, dtype, tolerance| {
        // The squares of 300 sum to more than f16 holds.
        let x = (tensor::<3>(1, shape, device) * 300.0).cast(dtype);
        let weight = random(2, [shape[2]], device, dtype);
        let expected = reference::rms_norm(x.clone(), weight.clone(), EPS);
        close(what, rms_norm(x, weight, EPS), expected, tolerance);
    });
}

#[test]
fn gate_residual_matches() {
    everywhere(|what, device, shape @ [b, l, d], dtype, tolerance| {
        for gates in [[1, 1, d], [b, l, d], [b, 1, d]] {
            let x = tensor::<3>(1, shape, device);
            let (y, gate) = (random(2, shape, device, dtype), tensor::<3>(3, gates, device));
            let expected = reference::gate_residual(x.clone(), y.clone(), gate.clone());
            // Once with `x` held by someone else, once in its place.
            let beside = gate_residual(x.clone(), y.clone(), gate.clone());
            close(&format!("{what} {gates:?} beside"), beside, expected.clone(), tolerance);
            let x = x * 1.0;
            close(&format!("{what} {gates:?}"), gate_residual(x, y, gate), expected, tolerance);
        }
    });
}

#[test]
fn gelu_matches() {
    everywhere(|what, device, shape, dtype, tolerance| {
        let x = random(1, shape, device, dtype) * 4.0;
        let bias = tensor(2, [shape[2]], device);
        let expected = reference::gelu_bias(x.clone(), bias.clone());
        close(&format!("{what} biased"), gelu_bias(x.clone(), bias), expected, tolerance);
        let expected = reference::gelu(x.clone());
        close(&format!("{what} plain"), gelu(x.clone()), expected, tolerance);
        close(&format!("{what} silu"), silu(x.clone()), reference::silu(x), tolerance);
    });
}

/// Values at which a tanh by exponentials overflows, and the ends of the ranges.
#[test]
fn gelu_is_finite_far_out() {
    let values = [-65_000.0f32, -1_000.0, -100.0, -44.0, -10.0, 0.0, 10.0, 44.0, 100.0, 1_000.0, 65_000.0];
    for TestDevice { name, device, .. } in &devices() {
        for y in [gelu::<1>(Tensor::from_floats(values, device)), silu(Tensor::from_floats(values, device))] {
            let y = y.into_data().try_to_vec::<f32>().unwrap();
            for (x, y) in values.into_iter().zip(y) {
                assert!((y - x.max(0.0)).abs() <= 1e-3 * x.abs().max(1.0), "{name}: {x} gives {y}");
            }
        }
    }
}

#[test]
fn rms_norm_rope_matches() {
    for TestDevice { name, device, .. } in &devices() {
        for (input, _) in dtypes(device) {
            for (output, tolerance) in dtypes(device) {
                let tolerance = if input == FloatDType::F16 { F16 } else { tolerance };
                for (b, grid, heads, d) in
                    [(1, [1, 1, 1], 1, 10), (2, [3, 1, 1], 3, 6), (1, [1, 37, 1], 5, 26)]
                {
                    let l = grid.iter().product::<usize>();
                    let table = RopeTable::new(grid, d, device);
                    let x = random(1, [b, l, heads * d], device, input);
                    let weight = tensor(2, [heads * d], device);
                    for table in [Some(&table), None] {
                        let expected = reference::rms_norm_rope(
                            x.clone(),
                            weight.clone(),
                            table,
                            heads,
                            EPS,
                            output.into(),
                        );
                        let y = rms_norm_rope(x.clone(), weight.clone(), table, heads, EPS, output.into());
                        let what = format!("{name} {b} {l} {heads} {d} {input:?} {output:?}");
                        close(&what, y, expected, tolerance);
                    }
                }
            }
        }
    }
}

#[test]
fn heads_of_odd_width_without_rotation() {
    for TestDevice { name, device, .. } in &devices() {
        let x = tensor(1, [2, 3, 21], device);
        let weight = tensor(2, [21], device);
        let expected = reference::rms_norm_rope(x.clone(), weight.clone(), None, 3, EPS, DType::F32);
        close(name, rms_norm_rope(x, weight, None, 3, EPS, DType::F32), expected, F32);
    }
}

#[test]
fn guidance_step_matches() {
    let step = GuidanceStep { scale: 5.0, keep: 1.0, flow: -0.03 };
    for TestDevice { name, device, .. } in &devices() {
        for shape in [[1, 1, 1, 1, 1], [1, 16, 3, 5, 7], [2, 4, 1, 8, 8]] {
            let [x, cond, uncond] = [1, 2, 3].map(|seed| tensor::<5>(seed, shape, device));
            let expected = reference::guidance_step(x.clone(), cond.clone(), uncond.clone(), step);
            close(&format!("{name} {shape:?}"), guidance_step(x, cond, uncond, step), expected, F32);
        }
    }
}

/// Transposed and sliced arguments, whose elements are not in order.
#[test]
fn views_are_read_in_order() {
    for TestDevice { name, device, .. } in &devices() {
        let x = tensor::<3>(1, [5, 2, 24], device).swap_dims(0, 1).slice([0..2, 1..4, 3..21]);
        let bias = tensor::<1>(2, [40], device).slice_dim(0, 7..25);
        let expected = reference::gelu_bias(x.clone(), bias.clone());
        close(name, gelu_bias(x.clone(), bias.clone()), expected, F32);
        let expected = reference::rms_norm(x.clone(), bias.clone(), EPS);
        close(name, rms_norm(x.clone(), bias.clone(), EPS), expected, F32);
        let rows = tensor::<3>(3, [1, 6, 18], device);
        let (scale, shift) = (rows.clone().narrow(1, 1, 1), rows.narrow(1, 4, 1));
        let expected = reference::norm_modulate(x.clone(), scale.clone(), shift.clone(), EPS);
        close(name, norm_modulate(x, scale, shift, EPS), expected, F32);
    }
}

/// An operation in the place of its argument must leave other holders of that argument alone.
#[test]
fn arguments_held_elsewhere_stay_as_they_are() {
    for TestDevice { name, device, .. } in &devices() {
        let x = tensor::<3>(1, [1, 3, 96], device);
        let before = x.clone().into_data().try_to_vec::<f32>().unwrap();
        let _ = gate_residual(x.clone(), x.clone(), tensor(2, [1, 1, 96], device));
        let _ = gelu(x.clone());
        let _ = silu(x.clone().slice([0..1, 1..2]));
        let after = x.into_data().try_to_vec::<f32>().unwrap();
        assert_eq!(relative_l2(&after, &before), 0.0, "{name}");
    }
}

/// Own code runs where it can: a kernel on every CubeCL device, a twin on burn-flex, and nothing fell back.
#[test]
fn own_code_is_what_runs() {
    if Mode::get() == Mode::Reference {
        return;
    }
    for TestDevice { name, device, .. } in &devices() {
        let expected = match DeviceCaps::of(device).kind {
            DeviceKind::Other => Road::Reference,
            DeviceKind::Cube | DeviceKind::Flex => Road::Custom,
        };
        for operation in FUSED {
            assert_eq!(road(&operation, device, &[DType::F32]), expected, "{} on {name}", operation.name);
        }
    }
    assert_eq!(fallbacks(), vec![]);
}

/// Storage buffers and shared memory that every adapter in mind grants; attention alone takes more than WebGPU's
/// guaranteed 16 KB.
#[test]
fn needs_are_what_every_adapter_has() {
    for operation in FUSED {
        let needs = operation.cube.unwrap();
        assert!(needs.bindings <= 7, "{}", operation.name);
        let shared = if operation.name == "attention" { 32_768 } else { 16_384 };
        assert!(needs.shared_memory_bytes <= shared && needs.units <= 256, "{}", operation.name);
    }
}
