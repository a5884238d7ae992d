//! What attention on the host holds beyond queries, keys, values and result at a film's length: 32,760 tokens in 12
//! heads of 128.

use burn::{prelude::*, tensor::DType};
use testkit::counting::{Counting, alone, most_held};
use wan_kernels::{RopeTable, Window, attention, reference, rope_attention, window_attention};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const HEADS: usize = 12;
const WIDTH: usize = 128;
const LENGTH: usize = 32_760;

/// The most that may be held beyond operands and result.
const MOST: usize = 64 << 20;

/// Buffers that depend on threads and pages, not on sizes.
const LITTLE: usize = 1 << 20;

/// Bytes `call` on `qkv` held at most beyond what was there, the operands among it, and its result.
fn beyond(qkv: &[Tensor<4>; 3], call: impl FnOnce([Tensor<4>; 3]) -> Tensor<4>) -> usize {
    let (result, most) = most_held(|| call(qkv.clone()));
    most - bytes(&result)
}

fn bytes(x: &Tensor<4>) -> usize {
    x.shape().num_elements() * x.dtype().size()
}

/// `[1, heads, l, d]` of each length in f32, as views by head of what the models hold by token.
fn operands(lengths: [usize; 3]) -> [Tensor<4>; 3] {
    operands_of(lengths, DType::F32)
}

fn operands_of(lengths: [usize; 3], dtype: DType) -> [Tensor<4>; 3] {
    let options = (&Device::flex(), dtype);
    lengths.map(|length| Tensor::<4>::full([1, length, HEADS, WIDTH], 0.1, options).swap_dims(1, 2))
}

/// Some queries against all keys, and as many again: what is packed is one head's keys and values, whatever the
/// queries.
#[test]
fn one_head_of_keys_and_values_is_held() {
    let _turn = alone();
    let [few, more] = [256, 512].map(|queries| {
        let qkv = operands([queries, LENGTH, LENGTH]);
        beyond(&qkv, |[q, k, v]| attention(q, k, v))
    });
    let head = 2 * LENGTH * WIDTH * size_of::<f32>();
    assert!((head..=MOST).contains(&few), "{few} bytes, a head takes {head}");
    assert!(more <= few + LITTLE, "{more} bytes for twice the queries of {few} bytes");
}

/// Neither operands nor result are held in f32 as a whole, which would be 200 MB each.
#[test]
fn operands_of_two_bytes_take_no_more() {
    let _turn = alone();
    for dtype in [DType::F16, DType::BF16] {
        let qkv = operands_of([LENGTH; 3], dtype);
        let window = Window { size: 16, sink: 0 };
        let held = beyond(&qkv, |[q, k, v]| window_attention(q, k, v, window));
        assert!(held <= MOST, "{dtype:?}: {held} bytes");
    }
}

/// As many queries as keys, where a window spares most of the arithmetic.
#[test]
fn all_queries_take_no_more() {
    let _turn = alone();
    let qkv = operands([LENGTH; 3]);
    let window = Window { size: 16, sink: 0 };
    let held = beyond(&qkv, |[q, k, v]| window_attention(q, k, v, window));
    assert!(held <= MOST, "{held} bytes");
}

/// Rotated rows are never all there at once: the rotation adds nothing to what attention holds.
#[test]
fn rotating_takes_nothing() {
    let _turn = alone();
    let length = 2_048;
    let table = RopeTable::new([2, 32, 32], WIDTH, &Device::flex());
    let qkv = operands([length; 3]);
    let plain = beyond(&qkv, |[q, k, v]| attention(q, k, v));
    let qkv = qkv.map(|x| x.swap_dims(1, 2));
    let rotated = beyond(&qkv, |[q, k, v]| rope_attention(q, k, v, &table));
    assert!(rotated <= plain + LITTLE, "{rotated} bytes, {plain} without a rotation");
}

/// Whole score matrices of 64 queries, which are more than allowed, are seen.
#[test]
fn the_count_sees_scores() {
    let _turn = alone();
    let qkv = operands([64, LENGTH, LENGTH]);
    let held = beyond(&qkv, |[q, k, v]| reference::attention(q, k, v, usize::MAX));
    assert!(held > MOST, "{held} bytes");
}
