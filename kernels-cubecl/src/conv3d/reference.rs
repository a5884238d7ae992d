//! The definition of the convolution in plain tensor operations.

use burn::{
    prelude::*,
    tensor::{
        module,
        ops::{ConvOptions, PadMode},
    },
};

use super::Conv3dOptions;

/// [`super::conv3d`] as a concatenation, an explicit padding where it is lopsided, and one plain convolution.
pub fn conv3d(
    x: Tensor<5>,
    weight: Tensor<5>,
    bias: Option<Tensor<1>>,
    history: Option<Tensor<5>>,
    options: Conv3dOptions,
) -> Tensor<5> {
    let [time, height, width] = options.padding;
    let x = with_context(x, history, time.0);
    let lopsided = |(before, after): (usize, usize)| if before == after { (0, 0) } else { (before, after) };
    let explicit = [(0, time.1), lopsided(height), lopsided(width)];
    let x = if explicit == [(0, 0); 3] { x } else { x.pad(explicit, PadMode::Constant(0.0)) };
    let even = |(before, after): (usize, usize)| if before == after { before } else { 0 };
    let padding = [0, even(height), even(width)];
    module::conv3d(x, weight, bias, ConvOptions::new(options.stride, padding, [1; 3], 1))
}

/// `count` frames on the left of `x`: zeros, then `history`.
fn with_context(x: Tensor<5>, history: Option<Tensor<5>>, count: usize) -> Tensor<5> {
    let [b, c, _, h, w] = x.dims();
    let missing = count - history.as_ref().map_or(0, |frames| frames.dims()[2]);
    let zeros = (missing > 0).then(|| Tensor::zeros([b, c, missing, h, w], (&x.device(), x.dtype())));
    let parts: Vec<_> = zeros.into_iter().chain(history).collect();
    if parts.is_empty() {
        return x;
    }
    Tensor::cat(parts.into_iter().chain([x]).collect(), 2)
}
