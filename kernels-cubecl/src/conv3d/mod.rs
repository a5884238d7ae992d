//! Three-dimensional convolution with temporal context, in f32.

mod reference;

use burn::prelude::*;

pub use reference::conv3d as conv3d_reference;

/// Stride and zero padding `(before, after)` over time, height and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv3dOptions {
    pub stride: [usize; 3],
    pub padding: [(usize, usize); 3],
}

impl Default for Conv3dOptions {
    fn default() -> Self {
        Self { stride: [1; 3], padding: [(0, 0); 3] }
    }
}

/// Convolves `x` with `weight` and adds `bias`.
///
/// `history` holds earlier frames that take the place of the last ones of the `padding[0].0` zero frames on the left; it
/// may hold fewer frames than that, and never more.
///
/// Beyond its input (once more with the context beside it) and its output, the host needs one channel-last copy of the
/// input and one tile of columns per thread, and a graphics adapter nothing: no buffer grows with kernel volume times
/// pixels.
///
/// # Shapes
/// - `x`: `[b, c_in, t, h, w]`; `weight`: `[c_out, c_in, k_t, k_h, k_w]`; `bias`: `[c_out]`
/// - `history`: `[b, c_in, <= padding[0].0, h, w]`
/// - output: `[b, c_out, t', h', w']`
///
/// # Panics
/// If the shapes do not fit together.
pub fn conv3d(
    x: Tensor<5>,
    weight: Tensor<5>,
    bias: Option<Tensor<1>>,
    history: Option<Tensor<5>>,
    options: Conv3dOptions,
) -> Tensor<5> {
    if is_pointwise(&weight, options) {
        return pointwise(x, weight, bias);
    }
    let missing = missing_frames(history.as_ref(), options);
    if missing == 0 || !is_one_window(&x, &weight, options) {
        return reference::conv3d(x, weight, bias, history, options);
    }
    // The only window starts with zero frames: the taps over them contribute nothing.
    let weight = weight.slice_dim(2, missing..);
    let mut options = options;
    options.padding[0].0 -= missing;
    reference::conv3d(x, weight, bias, history, options)
}

/// How many of the frames on the left are zeros.
fn missing_frames(history: Option<&Tensor<5>>, options: Conv3dOptions) -> usize {
    let present = history.map_or(0, |frames| frames.dims()[2]);
    let context = options.padding[0].0;
    assert!(present <= context, "{present} frames of history, but a context of {context}");
    context - present
}

fn is_one_window(x: &Tensor<5>, weight: &Tensor<5>, options: Conv3dOptions) -> bool {
    let (before, after) = options.padding[0];
    x.dims()[2] == 1 && after == 0 && weight.dims()[2] == before + 1
}

fn is_pointwise(weight: &Tensor<5>, options: Conv3dOptions) -> bool {
    weight.dims()[2..] == [1, 1, 1] && options == Conv3dOptions::default()
}

/// A matrix product over the channels.
fn pointwise(x: Tensor<5>, weight: Tensor<5>, bias: Option<Tensor<1>>) -> Tensor<5> {
    let [b, inputs, t, h, w] = x.dims();
    let outputs = weight.dims()[0];
    let y = weight.reshape([1, outputs, inputs]).matmul(x.reshape([b, inputs, t * h * w]));
    let y = match bias {
        Some(bias) => y + bias.reshape([1, outputs, 1]),
        None => y,
    };
    y.reshape([b, outputs, t, h, w])
}
