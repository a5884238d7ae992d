//! Products with quantized weights by plain tensor code.

use burn::{
    prelude::*,
    tensor::{DType, IntDType},
};

use super::{
    Absmax,
    codes::NF4,
    nested::{NESTED_BLOCK, NestedAbsmax},
};
use crate::split;

/// Of rows that are dequantized at a time; the steps towards them take some times as much.
const WEIGHT_BYTES: usize = 16 << 20;

/// See [`crate::matmul_int8`].
pub fn matmul_int8(x: Tensor<2>, words: Tensor<2, Int>, scales: Tensor<2>) -> Tensor<2> {
    let [n, row] = words.dims();
    by_rows(x, n, row * 4, |first, rows| {
        let bytes = fields(words.clone().narrow(0, first, rows), &[0, 8, 16, 24], 255);
        // The sign's bit turned, two's complement is the distance from the lowest code.
        let codes = bytes.bitwise_xor_scalar(128).float().cast(DType::F32) - 128.0;
        scaled(codes, scales.clone().narrow(0, first, rows))
    })
}

/// See [`crate::matmul_nf4`].
pub fn matmul_nf4(x: Tensor<2>, words: Tensor<2, Int>, absmax: Absmax) -> Tensor<2> {
    let [n, row] = words.dims();
    let values = Tensor::<1>::from_data(NF4, (&x.device(), DType::F32));
    by_rows(x, n, row * 8, |first, rows| {
        let codes = fields(words.clone().narrow(0, first, rows), &[4, 0, 12, 8, 20, 16, 28, 24], 15);
        let values = values.clone().select(0, codes.flatten(0, 1)).reshape([rows, row * 8]);
        let scales = match &absmax {
            Absmax::Plain(scales) => scales.clone().narrow(0, first, rows),
            Absmax::Nested(nested) => expanded(nested, first, rows, row * 8 / nested.block),
        };
        scaled(values, scales)
    })
}

/// `x W^T`, where `weight` makes so many rows of `W` from the given one on.
fn by_rows(x: Tensor<2>, n: usize, k: usize, weight: impl Fn(usize, usize) -> Tensor<2>) -> Tensor<2> {
    let x = x.cast(DType::F32);
    let most = (WEIGHT_BYTES / size_of::<f32>() / k).max(1);
    let part = |rows: std::ops::Range<usize>| {
        let weight = weight(rows.start, rows.len());
        x.clone().matmul(weight.transpose())
    };
    Tensor::cat(split::ranges(n, most).map(part).collect(), 1)
}

/// The bits of each word that `mask` leaves after each shift: `[rows, words]` to `[rows, words * shifts]`.
fn fields(words: Tensor<2, Int>, shifts: &[u32], mask: u32) -> Tensor<2, Int> {
    let [rows, row] = words.dims();
    let field = |&shift: &u32| words.clone().bitwise_right_shift_scalar(shift).bitwise_and_scalar(mask);
    let fields = shifts.iter().map(|shift| field(shift).cast(IntDType::I32)).collect();
    Tensor::stack::<3>(fields, 2).reshape([rows, row * shifts.len()])
}

/// `codes`, `[rows, k]`, in as many blocks as `scales` has columns.
fn scaled(codes: Tensor<2>, scales: Tensor<2>) -> Tensor<2> {
    let ([rows, k], [_, blocks]) = (codes.dims(), scales.dims());
    let scales = scales.cast(DType::F32).reshape([rows, blocks, 1]);
    (codes.reshape([rows, blocks, k / blocks]) * scales).reshape([rows, k])
}

/// The maxima of `rows` rows of so many blocks.
fn expanded(nested: &NestedAbsmax, first: usize, rows: usize, blocks: usize) -> Tensor<2> {
    let (start, end) = (first * blocks, (first + rows) * blocks);
    let (first_word, end_word) = (start / 4, end.div_ceil(4));
    let words = nested.codes.clone().slice_dim(0, first_word..end_word).unsqueeze_dim(0);
    let codes: Tensor<1, Int> = fields(words, &[0, 8, 16, 24], 255).squeeze_dim(0);
    let codes = codes.narrow(0, start - 4 * first_word, end - start);
    let device = nested.absmax.device();
    let numbers: Vec<i32> = (start..end).map(|number| (number / NESTED_BLOCK) as i32).collect();
    let numbers = Tensor::<1, Int>::from_data(TensorData::new(numbers, [end - start]), (&device, DType::I32));
    let maxima = nested.map.clone().select(0, codes) * nested.absmax.clone().select(0, numbers);
    (maxima + nested.offset).reshape([rows, blocks])
}
