//! The twin for burn-flex.

mod nibbles;
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
use crate::{
    host::{dense, elements},
    product::{Finish, product as host_product},
};

const _: () = assert!(cfg!(target_endian = "little"), "words of codes are read as bytes");

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
    host_product(elements(&x), &weight, [m, n, k], Finish::default())
}

/// The bytes of contiguous words.
fn bytes(words: &FlexTensor) -> &[u8] {
    bytemuck::cast_slice(words.as_slice::<u32>().expect("words are u32 and contiguous"))
}
