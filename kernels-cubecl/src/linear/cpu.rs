//! The twin for burn-flex.

use burn::backend::{TensorMetadata, flex::FlexTensor};

use crate::{
    host::{dense, elements},
    product::{Finish, Floats, product},
};

/// See [`super::launch::Linear`].
pub(super) fn linear(x: FlexTensor, weight: FlexTensor, bias: FlexTensor, gelu: bool) -> FlexTensor {
    let ([m, k], [n, _]) = (x.shape().dims(), weight.shape().dims());
    let (x, weight, bias) = (dense(x), Floats::ready(weight), dense(bias));
    let bias = Some(elements(&bias)).filter(|bias| !bias.is_empty());
    product(elements(&x), &Floats::of(&weight, k), [m, n, k], Finish { bias, gelu })
}
