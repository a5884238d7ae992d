//! Products with weights of eight and of four bits; the reference is the device's own product in f32 or f16, with a
//! weight of that dtype.

use burn::{prelude::*, tensor::DType};
use wan_kernels::{QuantizedMatrix, nest, quantize_int8, quantize_nf4};

use super::{
    Case, Cost, Forms,
    cases::{Inputs, WIDTHS},
};

/// Rows of activations: a timestep's, a few, and what peers are compared at.
const ROWS: [usize; 3] = [1, 16, 512];

/// Values of a weight that are drawn; it repeats them.
const DRAWN: usize = 1 << 20;

/// A form of a weight: from values, `n` and `k`.
type Quantize = fn(&[f32], usize, usize, &Device) -> QuantizedMatrix;

const FORMS: [(&str, f64, Quantize); 3] = [
    ("matmul_int8", 1.0, |values, n, k, device| {
        quantize_int8(values, n, k, k).expect("rows of the models' widths").on(DType::F32, device)
    }),
    ("matmul_nf4", 0.5625, |values, n, k, device| {
        quantize_nf4(values, n, k).expect("rows of the models' widths").on(DType::F32, device)
    }),
    ("matmul_nf4 nested", 0.516, |values, n, k, device| {
        let weight = quantize_nf4(values, n, k).expect("rows of the models' widths");
        weight.nested_on(&nest(&weight.absmax), device)
    }),
];

pub(super) fn cases(dtype: DType) -> Vec<Case> {
    let layers = WIDTHS.into_iter().flat_map(|w| [[w.dim, w.dim], [w.dim, w.hidden]]);
    let sizes = layers.flat_map(|[k, n]| ROWS.map(|m| [m, k, n]));
    sizes.flat_map(|size| FORMS.map(|form| case(dtype, size, form))).collect()
}

fn case(
    dtype: DType,
    [m, k, n]: [usize; 3],
    (operation, bytes, quantize): (&'static str, f64, Quantize),
) -> Case {
    let forms = move |inputs: &Inputs| {
        let drawn = inputs.random_f32([DRAWN]).into_data().try_into_vec::<f32>().expect("f32");
        let values: Vec<f32> = drawn.iter().copied().cycle().take(n * k).collect();
        let weight = quantize(&values, n, k, inputs.device);
        let (x, dense) = (inputs.random([m, k]), inputs.random([n, k]));
        let own = x.clone();
        Forms {
            custom: Box::new(move || drop(weight.matmul(own.clone()))),
            reference: Box::new(move || drop(x.clone().matmul(dense.clone().transpose()))),
        }
    };
    Case {
        operation,
        shape: format!("{m}x{k}x{n}"),
        dtype,
        cost: Cost {
            flops: 2.0 * (m * n * k) as f64,
            bytes: bytes * (n * k) as f64 + (m * k * dtype.size() + 4 * m * n) as f64,
        },
        largest: (n * k).max(m * n),
        forms: Box::new(forms),
    }
}
