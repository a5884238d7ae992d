//! A linear layer in one pass: product, bias, GELU.
//!
//! The weight is read where it lies, such as in a mapped file, in its own dtype; results are finished before they leave
//! the caches. On adapters matrix units take layers in f16 the same way. Elsewhere a layer is the backend's matrix product
//! and what follows it. Both against the backends' own products: see `benches/NOTES.md`.

mod cpu;
pub mod kernel;
mod launch;
pub mod reference;

use burn::{backend::Dispatch, prelude::*, tensor::DType};

use crate::{KernelError, Road, dispatch::road_for, gelu, gelu_bias};
use launch::Linear;
pub(crate) use launch::OPERATION;
pub use launch::matrix_tiles;

/// `x W^T + b`, and GELU (the tanh form) of that if `then_gelu`.
///
/// # Shapes
/// - `x`: `[m, k]`, `weight`: `[n, k]`, whose dtype is that of the product where a backend carries it out, `bias`: `[n]`
/// - result: `[m, n]` f32; with GELU in the weight's dtype, which the next product takes, except on the host
///
/// # Panics
/// If the shapes do not fit together.
pub fn linear(x: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>, then_gelu: bool) -> Tensor<2> {
    check(&x, &weight, bias.as_ref()).unwrap_or_else(|error| panic!("{error}"));
    let elements = x.dims()[0] * weight.dims()[0];
    match chosen(&x, &weight, elements) {
        Road::Custom => {
            // An operation's tensors are there or are not; an empty one stands for none.
            let bias = bias.unwrap_or_else(|| Tensor::zeros([0], &x.device()));
            let [x, weight] = [x, weight].map(Tensor::into_dispatch);
            Tensor::from_dispatch(Dispatch::linear(x, weight, bias.into_dispatch(), then_gelu))
        }
        _ => by_parts(x, weight, bias, then_gelu),
    }
}

fn chosen(x: &Tensor<2>, weight: &Tensor<2>, elements: usize) -> Road {
    let ([m, k], [n, _], device) = (x.dims(), weight.dims(), x.device());
    match launch::fits([m, k, n], weight.dtype(), &device) {
        true => road_for(&OPERATION, &device, &[x.dtype(), weight.dtype()], elements),
        false => Road::Reference,
    }
}

/// By the backend's product and our own operations after it.
fn by_parts(x: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>, then_gelu: bool) -> Tensor<2> {
    let y = x.cast(weight.dtype()).matmul(weight.transpose());
    match (bias, then_gelu) {
        (None, false) => y.cast(DType::F32),
        (None, true) => gelu(y),
        (Some(bias), false) => y.cast(DType::F32) + bias.cast(DType::F32).unsqueeze(),
        (Some(bias), true) => gelu_bias(y.unsqueeze(), bias).squeeze_dim(0),
    }
}

fn check(x: &Tensor<2>, weight: &Tensor<2>, bias: Option<&Tensor<1>>) -> Result<(), KernelError> {
    let ([_, k], [n, inputs]) = (x.dims(), weight.dims());
    let biases = bias.map_or(n, |bias| bias.dims()[0]);
    if k != inputs || biases != n {
        let detail = format!("rows of {k} values, a weight of {n} by {inputs}, {biases} biases");
        return Err(KernelError::shape(OPERATION.name, detail));
    }
    Ok(())
}
