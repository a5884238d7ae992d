//! The twin for burn-flex.
//!
//! A few rows of activations are multiplied with a row of the weight at a time, straight from its codes. For more, a
//! thread makes f32 of some hundred columns of some rows of the weight, which then stay in its second-level cache, and
//! multiplies all rows of activations with them, in the order that the register tile reads them.

mod dots;
mod nibbles;
mod tiles;
mod weight;

use burn::{
    backend::{TensorMetadata, flex::FlexTensor},
    tensor::{DType, f16},
};

use self::{
    nibbles::Book,
    weight::{Scales, Values, Weight},
};
use super::{kernel::Code, launch::Product};
use crate::host::{Output, dense, elements, new_values, tensor};

const _: () = assert!(cfg!(target_endian = "little"), "words of codes are read as bytes");

/// Up to so many rows of activations, products with one row of the weight at a time are faster.
const DOT_ROWS: usize = 8;

/// See [`super::launch::QuantizedProduct`].
pub(super) fn product(
    x: FlexTensor,
    words: FlexTensor,
    scales: FlexTensor,
    nested: [FlexTensor; 2],
    product: Product,
) -> FlexTensor {
    let x = dense(x);
    let [words, scales, codes, map] = [words, scales, nested[0].clone(), nested[1].clone()]
        .map(|t| if t.is_contiguous() { t } else { t.to_contiguous() });
    let ([m, k], [n, _]) = (x.shape().dims(), words.shape().dims());
    let values = match scales.dtype() {
        DType::F16 => Values::Half(scales.as_slice::<f16>().expect("contiguous f16")),
        _ => Values::Single(scales.as_slice::<f32>().expect("scales are f32 or f16, and contiguous")),
    };
    let scales = match product.offset {
        Some(offset) => Scales::Nested { codes: bytes(&codes), maxima: values, map: elements(&map), offset },
        None => Scales::Plain(values),
    };
    let weight = Weight {
        bytes: bytes(&words),
        book: (product.code == Code::Nf4).then(Book::of_this_machine),
        scales,
        k,
        block: product.block,
    };
    let values = new_values(m * n, |out| {
        let out = Output::new(out);
        let problem = Problem { x: elements(&x), weight, m, n, out: &out };
        if m <= DOT_ROWS { dots::multiply(&problem) } else { tiles::multiply(&problem) }
    });
    tensor(values, vec![m, n], DType::F32)
}

/// One call.
struct Problem<'a> {
    /// `[m, k]`
    x: &'a [f32],
    /// `[n, k]`
    weight: Weight<'a>,
    m: usize,
    n: usize,
    /// `[m, n]`
    out: &'a Output<'a>,
}

/// The bytes of contiguous words.
fn bytes(words: &FlexTensor) -> &[u8] {
    bytemuck::cast_slice(words.as_slice::<u32>().expect("words are u32 and contiguous"))
}
