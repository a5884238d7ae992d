//! What a product with a quantized weight holds on the host beyond activations, codes and result.
#![allow(clippy::unwrap_used)]

use burn::{prelude::*, tensor::DType};
use testkit::{
    counting::{Counting, alone, most_held},
    normal,
};
use wan_kernels::{QuantizedMatrix, nest, quantize_int8, quantize_nf4, reference};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A layer's width, and some of its outputs: 10 MB of codes of eight bits, 42 MB of f32.
const K: usize = 5_120;
const N: usize = 2_048;

/// Buffers of two to some tens of threads, and what starts them.
const LITTLE: usize = 8 << 20;

fn weights() -> Vec<(&'static str, QuantizedMatrix)> {
    let device = Device::flex();
    let values = normal(1, K).repeat(N);
    let int8 = quantize_int8(&values, N, K, K).unwrap();
    let nf4 = quantize_nf4(&values, N, K).unwrap();
    vec![
        ("int8", int8.on(DType::F32, &device)),
        ("nf4, f16", nf4.on(DType::F16, &device)),
        ("nf4 nested", nf4.nested_on(&nest(&nf4.absmax), &device)),
    ]
}

fn beyond(m: usize, call: impl FnOnce(Tensor<2>) -> Tensor<2>) -> usize {
    let x = Tensor::<2>::full([m, K], 0.1, &Device::flex());
    let (result, most) = most_held(|| call(x));
    most - result.shape().num_elements() * size_of::<f32>()
}

/// Panels of the weight, and activations in the order they are multiplied in.
#[test]
fn no_weight_in_f32_is_held() {
    let _turn = alone();
    for (form, weight) in weights() {
        for m in [1, 8, 40, 600] {
            let held = beyond(m, |x| weight.matmul(x));
            let packed = m.min(512).next_multiple_of(32) * K * size_of::<f32>();
            assert!(held <= packed + LITTLE, "{form}, {m} rows: {held} bytes");
        }
    }
}

/// The count sees a weight in f32.
#[test]
fn the_count_sees_a_weight() {
    let _turn = alone();
    let device = Device::flex();
    let dense = beyond(1, |x| x.matmul(Tensor::<2>::full([N, K], 0.1, &device).transpose()));
    assert!(dense >= N * K * size_of::<f32>(), "{dense} bytes");
    // The portable code takes it by parts, each of which passes through some steps.
    let (words, scales) = weights().remove(0).1.into_parts();
    let wan_kernels::Scales::Int8(scales) = scales else { panic!("{scales:?}") };
    let parts = beyond(1, |x| reference::matmul_int8(x, words, scales));
    assert!(parts > LITTLE, "{parts} bytes");
}
