//! Attention among video tokens, to text, and with the rotation inside.

use burn::tensor::DType;
use wan_kernels::{RopeTable, SCORE_BUDGET_BYTES, attention, reference, rms_norm_rope, rope_attention};

use super::{
    Case, Cost, Forms,
    cases::{Inputs, LENGTHS, WIDTHS},
};

const WIDTH: usize = 128;
const TEXT: usize = 512;
const EPS: f64 = 1e-6;

/// Batch, tokens and heads of the rotation's rows.
const ROTATIONS: [[usize; 3]; 10] = [
    [1, 1_024, 16],
    [1, 1_024, 40],
    [1, 4_290, 16],
    [1, 4_290, 40],
    [1, 32_760, 16],
    [1, 32_760, 40],
    [2, 1_024, 40],
    [2, 4_290, 16],
    [4, 1_024, 40],
    [4, 4_290, 16],
];

pub(super) fn cases(dtype: DType) -> Vec<Case> {
    let sizes = || WIDTHS.into_iter().flat_map(|w| LENGTHS.map(|length| (w.heads, length)));
    let among = sizes().map(|(heads, length)| flash(dtype, heads, length, length));
    let to_text = sizes()
        .filter(|&(_, length)| length != TEXT)
        .map(|(heads, length)| flash(dtype, heads, length, TEXT));
    let rotated = sizes().map(|(heads, length)| rotated(dtype, heads, length));
    among.chain(to_text).chain(rotated).chain(ROTATIONS.map(|size| rotation(dtype, size))).collect()
}

fn cost(dtype: DType, heads: usize, lq: usize, lk: usize) -> Cost {
    let pairs = (heads * lq * lk) as f64;
    let elements = 2 * heads * (lq + lk) * WIDTH;
    Cost { flops: 4.0 * pairs * WIDTH as f64, bytes: (elements * dtype.size()) as f64 }
}

fn flash(dtype: DType, heads: usize, lq: usize, lk: usize) -> Case {
    let forms = move |inputs: &Inputs| {
        let q = inputs.random([1, heads, lq, WIDTH]);
        let (k, v) = (inputs.random([1, heads, lk, WIDTH]), inputs.random([1, heads, lk, WIDTH]));
        let own = (q.clone(), k.clone(), v.clone());
        Forms {
            custom: Box::new(move || drop(attention(own.0.clone(), own.1.clone(), own.2.clone()))),
            reference: Box::new(move || {
                drop(reference::attention(q.clone(), k.clone(), v.clone(), SCORE_BUDGET_BYTES));
            }),
        }
    };
    Case {
        operation: if lq == lk { "attention" } else { "attention to text" },
        shape: format!("h{heads} l{lq}x{lk} d{WIDTH}"),
        dtype,
        cost: cost(dtype, heads, lq, lk),
        largest: heads * lq.max(lk) * WIDTH,
        forms: Box::new(forms),
    }
}

/// The rotation inside attention, beside the rotation and then our own attention.
fn rotated(dtype: DType, heads: usize, length: usize) -> Case {
    let forms = move |inputs: &Inputs| {
        let [q, k, v] = [(); 3].map(|()| inputs.random([1, length, heads, WIDTH]));
        let table = RopeTable::new([1, 1, length], WIDTH, inputs.device);
        let own = ([q.clone(), k.clone(), v.clone()], table.clone());
        Forms {
            custom: Box::new(move || {
                let [q, k, v] = own.0.clone();
                drop(rope_attention(q, k, v, &own.1));
            }),
            reference: Box::new(move || {
                let [q, k] = [&q, &k].map(|x| {
                    let rotated = reference::rope3d(x.clone().cast(DType::F32), &table);
                    rotated.cast(x.dtype()).swap_dims(1, 2)
                });
                drop(attention(q, k, v.clone().swap_dims(1, 2)));
            }),
        }
    };
    Case {
        operation: "rope_attention",
        shape: format!("h{heads} l{length} d{WIDTH}"),
        dtype,
        cost: cost(dtype, heads, length, length),
        largest: heads * length * WIDTH,
        forms: Box::new(forms),
    }
}

/// Norm, rotation and layout of queries or keys.
fn rotation(dtype: DType, [batch, length, heads]: [usize; 3]) -> Case {
    let width = heads * WIDTH;
    let forms = move |inputs: &Inputs| {
        let (x, weight) = (inputs.random_f32([batch, length, width]), inputs.random_f32([width]));
        let table = RopeTable::new([1, 1, length], WIDTH, inputs.device);
        let own = (x.clone(), weight.clone(), table.clone());
        Forms {
            custom: Box::new(move || {
                drop(rms_norm_rope(own.0.clone(), own.1.clone(), Some(&own.2), heads, EPS, dtype));
            }),
            // The layout is part of the work: a view would leave it to whoever reads it.
            reference: Box::new(move || {
                let (x, weight) = (x.clone(), weight.clone());
                drop(reference::rms_norm_rope(x, weight, Some(&table), heads, EPS, dtype) * 1.0);
            }),
        }
    };
    let elements = batch * length * width;
    Case {
        operation: "rms_norm_rope",
        shape: format!("b{batch} l{length} h{heads} d{WIDTH}"),
        dtype,
        cost: Cost { flops: 0.0, bytes: (elements * (4 + dtype.size())) as f64 },
        largest: elements,
        forms: Box::new(forms),
    }
}
