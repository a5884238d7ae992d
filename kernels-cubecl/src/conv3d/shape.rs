//! What the arguments of a convolution must agree on.

use burn::tensor::Shape;

use super::{Conv3dOptions, launch::OPERATION};
use crate::KernelError;

/// Sizes of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    pub batch: usize,
    /// Channels.
    pub inputs: usize,
    pub outputs: usize,
    /// Frames, rows and columns of the input.
    pub size: [usize; 3],
    /// Frames of the history.
    pub past: usize,
    pub kernel: [usize; 3],
    /// Frames, rows and columns of the result.
    pub out: [usize; 3],
}

impl ConvShape {
    /// Of `x`: `[b, c_in, t, h, w]`, `weight`: `[c_out, c_in, k_t, k_h, k_w]`, `bias`: `[c_out]` and `history`:
    /// `[b, c_in, <= padding, h, w]`; an error unless they fit together and the window fits the padded input.
    pub fn new(
        x: [usize; 5],
        weight: [usize; 5],
        bias: Option<[usize; 1]>,
        history: Option<[usize; 5]>,
        options: Conv3dOptions,
    ) -> Result<Self, KernelError> {
        let ([batch, inputs, t, h, w], [outputs, of, k_t, k_h, k_w]) = (x, weight);
        let (size, kernel) = ([t, h, w], [k_t, k_h, k_w]);
        let past = history.map_or(0, |frames| frames[2]);
        let agree = of == inputs
            && bias.is_none_or(|bias| bias == [outputs])
            && history.is_none_or(|frames| frames == [batch, inputs, past, h, w]);
        let out = [0, 1, 2].map(|axis| positions(size[axis], kernel[axis], options, axis));
        match out {
            [Some(t), Some(h), Some(w)] if agree && past <= options.padding[0].0 => {
                Ok(Self { batch, inputs, outputs, size, past, kernel, out: [t, h, w] })
            }
            _ => {
                let detail =
                    format!("x {x:?}, weight {weight:?}, bias {bias:?}, history {history:?}, {options:?}");
                Err(KernelError::shape(OPERATION.name, detail))
            }
        }
    }

    /// `[b, c_out, t', h', w']`.
    pub fn result(&self) -> Shape {
        let [t, h, w] = self.out;
        Shape::new([self.batch, self.outputs, t, h, w])
    }

    /// Elements of the smaller of input and result.
    pub fn smallest(&self) -> usize {
        let [pixels, results] = [&self.size, &self.out].map(|size| size.iter().product::<usize>());
        (self.batch * self.inputs * pixels).min(self.batch * self.outputs * results)
    }

    /// Elements of the largest tensor.
    pub fn largest(&self) -> usize {
        let [pixels, results] = [&self.size, &self.out].map(|size| size.iter().product::<usize>());
        let weights = self.outputs * self.inputs * self.kernel.iter().product::<usize>();
        (self.batch * self.inputs * pixels).max(self.batch * self.outputs * results).max(weights)
    }
}

/// Windows along an axis, if one fits.
fn positions(size: usize, kernel: usize, options: Conv3dOptions, axis: usize) -> Option<usize> {
    let (before, after) = options.padding[axis];
    let free = size.checked_add(before)?.checked_add(after)?.checked_sub(kernel.max(1))?;
    free.checked_div(options.stride[axis]).map(|steps| steps + 1).filter(|_| kernel > 0)
}
