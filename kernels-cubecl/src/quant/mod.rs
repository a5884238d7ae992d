//! Matrix products with weights of eight and of four bits.
//!
//! A weight is quantized, activations and sums are not: each tile of the weight becomes f32 where it is multiplied, and
//! no more of it than that tile exists in f32 at any time.
//!
//! # How a weight is held
//! As a `Tensor<2, Int>` of `u32` words, `[n, k / 4]` for int8 and `[n, k / 8]` for nf4. A word is four bytes of the row
//! as they stand in a file, the first one lowest. Words are the one dtype that every backend keeps as it is: WGSL, and so
//! wgpu wherever it does not have Vulkan or Metal of its own, knows no integers of eight bits; burn-flex and burn-ndarray
//! hold `u32` like any other. On burn-flex (and burn-ndarray) the bytes of a mapped file become such a tensor without a
//! copy, if they start on a multiple of four. Burn's `QFloat` tensors hold no code book, and burn-flex spends a byte on
//! each of their four-bit values.
//!
//! Bytes of a weight, on average:
//!
//! | form | bytes | 18.5 thousand million of them |
//! |---|---|---|
//! | int8, one f32 scale per row of 5,120 | 1.0008 | 18.5 GB |
//! | int8, f16 scales of blocks of 64 | 1.031 | 19.1 GB |
//! | nf4, f32 maxima of blocks of 64 | 0.5625 | 10.4 GB |
//! | nf4, f16 maxima | 0.531 | 9.8 GB |
//! | nf4, nested maxima | 0.516 | 9.5 GB |
//!
//! Nested maxima are therefore held as they are stored, a byte for each block and an f32 for each 256 of those, and
//! looked up inside the product.

mod codes;
mod cpu;
mod int8;
pub mod kernel;
mod launch;
mod matrix;
mod nested;
mod nf4;
pub mod reference;
mod shape;

use burn::{backend::Dispatch, prelude::*, tensor::DType};

use crate::{Operation, Road, dispatch::road_for};
pub use codes::{DYNAMIC_MAP_LEN, NF4, dynamic_map};
pub use int8::{Int8Weight, quantize_int8};
pub(crate) use launch::{INT8, NF4 as NF4_PRODUCT};
use launch::{Product, QuantizedProduct};
pub use matrix::{QuantizedMatrix, Scales};
pub use nested::{NestedAbsmax, NestedScales, nest};
pub use nf4::{NF4_BLOCK, Nf4Weight, quantize_nf4};
use shape::QuantShape;

/// The largest absolute values of the blocks of an nf4 weight.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "one for each layer")]
pub enum Absmax {
    /// `[n, k / block]` in f32 or f16.
    Plain(Tensor<2>),
    /// Themselves quantized.
    Nested(NestedAbsmax),
}

/// `x W^T` in f32, where row `r` of `W` is its eight-bit codes times their scales.
///
/// Activations of any float dtype are taken as f32. The block of a scale is what the shape of `scales` says: one column
/// is a scale per row.
///
/// # Shapes
/// - `x`: `[m, k]`, `words`: `[n, k / 4]` of `u32`, each four codes in two's complement, the first one lowest
/// - `scales`: `[n, k / block]` in f32 or f16, `block` a multiple of 8
/// - output: `[m, n]`
///
/// # Panics
/// If the shapes do not fit together.
pub fn matmul_int8(x: Tensor<2>, words: Tensor<2, Int>, scales: Tensor<2>) -> Tensor<2> {
    let shape = QuantShape::int8(&words, &scales).and_then(|shape| shape.with_rows(INT8.name, &x));
    let shape = shape.unwrap_or_else(|error| panic!("{error}"));
    match chosen(&INT8, &x, scales.dtype(), shape) {
        Road::Custom => {
            let (codes, map) = (words.clone(), scales.clone());
            product(Product::int8(shape.block), x, words, scales, codes.flatten(0, 1), map.flatten(0, 1))
        }
        _ => reference::matmul_int8(x, words, scales),
    }
}

/// `x W^T` in f32, where row `r` of `W` is the values of its four-bit codes in [`NF4`] times their blocks' maxima.
///
/// Activations of any float dtype are taken as f32.
///
/// # Shapes
/// - `x`: `[m, k]`, `words`: `[n, k / 8]` of `u32`, each four bytes, the first one lowest; of two codes in a byte the
///   first is the higher
/// - `absmax`: of blocks of a multiple of 8 along a row
/// - output: `[m, n]`
///
/// # Panics
/// If the shapes do not fit together.
pub fn matmul_nf4(x: Tensor<2>, words: Tensor<2, Int>, absmax: Absmax) -> Tensor<2> {
    let shape = QuantShape::nf4(&words, &absmax).and_then(|shape| shape.with_rows(NF4_PRODUCT.name, &x));
    let shape = shape.unwrap_or_else(|error| panic!("{error}"));
    if chosen(&NF4_PRODUCT, &x, absmax.dtype(), shape) != Road::Custom {
        return reference::matmul_nf4(x, words, absmax);
    }
    match absmax {
        Absmax::Plain(scales) => {
            let (codes, map) = (words.clone(), scales.clone());
            product(Product::nf4(shape.block), x, words, scales, codes.flatten(0, 1), map.flatten(0, 1))
        }
        Absmax::Nested(NestedAbsmax { codes, absmax, map, offset, block }) => {
            let form = Product::nested(block, offset);
            product(form, x, words, absmax.unsqueeze_dim(0), codes, map)
        }
    }
}

fn chosen(operation: &Operation, x: &Tensor<2>, scales: DType, shape: QuantShape) -> Road {
    road_for(operation, &x.device(), &[x.dtype(), scales], shape.largest())
}

fn product(
    form: Product,
    x: Tensor<2>,
    words: Tensor<2, Int>,
    scales: Tensor<2>,
    codes: Tensor<1, Int>,
    map: Tensor<1>,
) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::quantized_product(
        x.into_dispatch(),
        words.into_dispatch(),
        scales.into_dispatch(),
        codes.into_dispatch(),
        map.into_dispatch(),
        form,
    ))
}
