//! Three-dimensional convolution with temporal context.
//!
//! [`kernel`]'s two forms have run on a software adapter alone so far. There, in f32 after two frames of history,
//! direct sums of 3x3x3 windows take 0.35, 0.5 and 0.65 of the processor time of Burn's convolution without autotuning,
//! for 32, 64 and 96 channels. Winograd's F(2x2, 3x3) takes 0.54 of the time of direct sums for 96 channels of 4x30x52,
//! 0.55 for 192 of 3x16x16 and 0.6 from 16 channels to 384, but 2.0 from 96 to 3, which stay direct; on 384 channels
//! both err by 2e-6.

mod call;
mod cpu;
mod form;
pub mod kernel;
mod launch;
mod method;
pub mod reference;
mod shape;

use burn::{backend::Dispatch, prelude::*, tensor::DType};

use crate::{DeviceCaps, DeviceKind, KernelError, Road, dispatch::road_for, fall_back};
pub(crate) use launch::OPERATION;
use launch::{Conv3d, Maybe, Past};
pub(crate) use method::FILTER_BYTES;
use shape::ConvShape;

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
/// `history` holds earlier frames that take the place of the last ones of the `padding[0].0` zero frames on the
/// left; it may hold fewer frames than that, and never more.
///
/// Our kernels and the twin on burn-flex read input and context where they lie. They hold their arguments, their output
/// and at most 64 MiB of transformed weights; the twin may hold a copy of the weights instead, and 7 MB for each thread
/// (15 MB with 1,024 channels). Elsewhere, beyond its input (once more with the context beside it) and its
/// output, a backend holds at most one channel-last copy of each and one tile of columns per thread. No buffer grows
/// with kernel volume times pixels.
///
/// On burn-flex a frame is the same to the last bit in whatever chunk it comes.
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
    conv3d_after(x, weight, bias, history.into_iter().collect(), options)
}

/// [`conv3d`] after consecutive pieces of history, the oldest first. The twin on burn-flex reads up to two of them
/// where they lie; elsewhere they are joined first.
///
/// `x` and `history` may be stored in another dtype than `weight`: sums and result are those of `weight`. The twin's
/// Winograd form reads f16 where it lies; everything else is cast first.
///
/// # Shapes
/// - `history`: `[b, c_in, n, h, w]` each, `padding[0].0` frames at most; all others as in [`conv3d`]
///
/// # Panics
/// If the shapes do not fit together.
pub fn conv3d_after(
    x: Tensor<5>,
    weight: Tensor<5>,
    bias: Option<Tensor<1>>,
    history: Vec<Tensor<5>>,
    options: Conv3dOptions,
) -> Tensor<5> {
    let past = joined(&history);
    let shape = ConvShape::new(x.dims(), weight.dims(), bias.as_ref().map(Tensor::dims), past, options)
        .unwrap_or_else(|error| panic!("{error}"));
    let road = chosen(shape, options, &x, &weight, bias.as_ref());
    let in_place = road == Road::Custom && DeviceCaps::of(&x.device()).kind == DeviceKind::Flex;
    if in_place && history.len() <= 2 {
        return launched(x, weight, bias, Past::of(history), options);
    }
    let (x, history) = (x.cast(weight.dtype()), one_piece(history, weight.dtype()));
    match road {
        Road::Custom => launched(x, weight, bias, Past::of(Vec::from_iter(history)), options),
        _ => composed(x, weight, bias, history, options),
    }
}

fn launched(
    x: Tensor<5>,
    weight: Tensor<5>,
    bias: Option<Tensor<1>>,
    history: Past<Dispatch>,
    options: Conv3dOptions,
) -> Tensor<5> {
    let bias = Maybe::from(bias.map(Tensor::into_dispatch));
    let y = Dispatch::history_conv3d(x.into_dispatch(), weight.into_dispatch(), bias, history, options);
    Tensor::from_dispatch(y)
}

/// The shape of all pieces in one; that of a piece that does not fit the others if there is one.
fn joined(history: &[Tensor<5>]) -> Option<[usize; 5]> {
    let dims: Vec<[usize; 5]> = history.iter().map(Tensor::dims).collect();
    let others = |d: &[usize; 5]| [d[0], d[1], d[3], d[4]];
    let first = dims.first()?;
    let [b, c, _, h, w] = *dims.iter().find(|d| others(d) != others(first)).unwrap_or(first);
    Some([b, c, dims.iter().map(|d| d[2]).sum(), h, w])
}

fn one_piece(history: Vec<Tensor<5>>, dtype: DType) -> Option<Tensor<5>> {
    let mut pieces: Vec<_> = history.into_iter().map(|piece| piece.cast(dtype)).collect();
    if pieces.len() > 1 { Some(Tensor::cat(pieces, 2)) } else { pieces.pop() }
}

fn chosen(
    shape: ConvShape,
    options: Conv3dOptions,
    x: &Tensor<5>,
    weight: &Tensor<5>,
    bias: Option<&Tensor<1>>,
) -> Road {
    let device = x.device();
    match road_for(&OPERATION, &device, &[weight.dtype()], shape.smallest()) {
        Road::Custom => {
            let others = [bias.map(Tensor::dtype)];
            let taken =
                one_dtype(weight.dtype(), &others).and_then(|()| launch::fits(shape, options, &device));
            taken.map_or_else(|cause| fall_back(&OPERATION, &device, &cause), |()| Road::Custom)
        }
        other => other,
    }
}

fn one_dtype(dtype: DType, others: &[Option<DType>]) -> Result<(), KernelError> {
    match others.iter().flatten().find(|&&other| other != dtype) {
        Some(other) => {
            let cause = format!("arguments of {} and of {}", dtype.name(), other.name());
            Err(KernelError::Unavailable { operation: OPERATION.name, cause })
        }
        None => Ok(()),
    }
}

/// By the backend's own operations.
fn composed(
    x: Tensor<5>,
    weight: Tensor<5>,
    bias: Option<Tensor<1>>,
    history: Option<Tensor<5>>,
    options: Conv3dOptions,
) -> Tensor<5> {
    if is_pointwise(&weight, options) {
        return pointwise(x, weight, bias);
    }
    let missing = options.padding[0].0 - history.as_ref().map_or(0, |frames| frames.dims()[2]);
    if missing > 0 && looks_back_only(&weight, options) {
        return opening(x, weight, bias, history, options, missing);
    }
    reference::conv3d(x, weight, bias, history, options)
}

fn looks_back_only(weight: &Tensor<5>, options: Conv3dOptions) -> bool {
    let (before, after) = options.padding[0];
    options.stride[0] == 1 && after == 0 && weight.dims()[2] == before + 1
}

/// The opening of a video, where `missing` frames on the left are zeros: the taps over them contribute nothing
/// and are left out. Frame by frame, so that the sums of a frame never depend on the chunk it comes in.
fn opening(
    x: Tensor<5>,
    weight: Tensor<5>,
    bias: Option<Tensor<1>>,
    history: Option<Tensor<5>>,
    options: Conv3dOptions,
    missing: usize,
) -> Tensor<5> {
    let frames = x.dims()[2];
    let first = x.clone().slice_dim(2, 0..1);
    let mut shorter = options;
    shorter.padding[0].0 -= missing;
    let taps = weight.clone().slice_dim(2, missing..);
    let y = reference::conv3d(first.clone(), taps, bias.clone(), history.clone(), shorter);
    if frames == 1 {
        return y;
    }
    let history = Tensor::cat(history.into_iter().chain([first]).collect(), 2);
    let rest = composed(x.slice_dim(2, 1..frames), weight, bias, Some(history), options);
    Tensor::cat(vec![y, rest], 2)
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
