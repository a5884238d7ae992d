//! Norms, gates and rotation on every device, against host arithmetic.

use testkit::{TestDevice, Tolerance, assert_close, devices, normal, tensor};
use wan_kernels::{RopeTable, gate_residual, norm_modulate, reference, rms_norm, rope3d};

const SHAPES: [[usize; 3]; 3] = [[1, 1, 2], [2, 5, 33], [1, 129, 48]];

/// Layer norm and modulation in f64; each row of the modulation is for as many rows, one after the other.
fn norm_modulate_f64(x: &[f32], scale: &[f32], shift: &[f32], width: usize) -> Vec<f32> {
    let span = x.len() / scale.len();
    let row = |(r, x): (usize, &[f32])| {
        let mean = x.iter().map(|&v| f64::from(v)).sum::<f64>() / width as f64;
        let var = x.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / width as f64;
        let at = r / span * width;
        let norm = move |v: f32| (f64::from(v) - mean) / (var + 1e-6).sqrt();
        let modulated = |(c, &v): (usize, &f32)| {
            (norm(v) * (1.0 + f64::from(scale[at + c])) + f64::from(shift[at + c])) as f32
        };
        x.iter().enumerate().map(modulated).collect::<Vec<_>>()
    };
    x.chunks(width).enumerate().flat_map(row).collect()
}

#[test]
fn norm_modulate_by_row_and_by_token() {
    for TestDevice { name, device, .. } in &devices() {
        for shape @ [b, l, d] in SHAPES {
            for modulation in [[1, 1, d], [b, 1, d], [b, l, d]] {
                let len = modulation.iter().product();
                let expected = norm_modulate_f64(&normal(1, b * l * d), &normal(2, len), &normal(3, len), d);
                let [x, scale, shift] =
                    [tensor(1, shape, device), tensor(2, modulation, device), tensor(3, modulation, device)];
                let y = norm_modulate(x.clone(), scale.clone(), shift.clone(), 1e-6);
                assert_close(&format!("{name} {shape:?}"), y, (&shape, &expected), Tolerance::MODULE);
                let y = reference::norm_modulate(x, scale, shift, 1e-6);
                assert_close(
                    &format!("{name} reference {shape:?}"),
                    y,
                    (&shape, &expected),
                    Tolerance::MODULE,
                );
            }
        }
    }
}

#[test]
fn rms_norm_and_gate() {
    for TestDevice { name, device, .. } in &devices() {
        for shape @ [b, l, d] in SHAPES {
            let (x, w) = (normal(1, b * l * d), normal(2, d));
            let expected: Vec<f32> = x
                .chunks(d)
                .flat_map(|row| {
                    let mean = row.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / d as f64;
                    let scale = (mean + 1e-6).sqrt().recip();
                    row.iter().zip(&w).map(move |(&v, &w)| (f64::from(v) * scale * f64::from(w)) as f32)
                })
                .collect();
            let y = rms_norm(tensor(1, shape, device), tensor(2, [d], device), 1e-6);
            assert_close(&format!("{name} rms {shape:?}"), y, (&shape, &expected), Tolerance::MODULE);

            for rows in [1, b] {
                let (gate, span) = (normal(3, rows * d), b * l * d / rows);
                let gated = x.iter().enumerate().map(|(i, &v)| v + v * gate[i / span * d + i % d]);
                let expected: Vec<f32> = gated.collect();
                let x = tensor(1, shape, device);
                let y = gate_residual(x.clone(), x, tensor(3, [rows, 1, d], device));
                assert_close(&format!("{name} gate {shape:?}"), y, (&shape, &expected), Tolerance::MODULE);
            }
        }
    }
}

/// The token at (2, 3, 5) of a grid, head of ones, against published values.
#[test]
fn rope_rotates_by_frame_row_and_column() {
    let expected: [(usize, f64, f64); 9] = [
        (0, -1.325444263, 0.493150590),
        (1, -0.715503428, 1.219858534),
        (21, 0.999695972, 1.000303936),
        (22, -1.131112505, -0.848872489),
        (23, -1.290520516, 0.578408850),
        (42, 0.999534737, 1.000465047),
        (43, 1.242586460, -0.675262089),
        (44, -0.913500818, -1.079590781),
        (63, 0.999224442, 1.000774957),
    ];
    let grid = [3, 4, 6];
    let token = (2 * grid[1] + 3) * grid[2] + 5;
    for TestDevice { name, device, .. } in &devices() {
        let table = RopeTable::new(grid, 128, device);
        let ones = burn::tensor::Tensor::<4>::ones([1, 72, 2, 128], device);
        let y = rope3d(ones, &table).into_data().try_to_vec::<f32>().expect("f32");
        for (pair, re, im) in expected {
            let at = (token * 2 + 1) * 128 + 2 * pair;
            let error = (f64::from(y[at]) - re).abs().max((f64::from(y[at + 1]) - im).abs());
            assert!(error < 2e-6, "{name} pair {pair}");
        }
    }
}
