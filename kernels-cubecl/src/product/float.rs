//! Weights in floats.

use std::ops::Range;

use burn::{
    backend::flex::FlexTensor,
    tensor::{DType, bf16, f16},
};
use half::slice::HalfFloatSliceExt;

use super::Weight;
use crate::host::dense;

/// A weight of `[n, k]` in row-major order.
pub(crate) struct Floats<'a> {
    values: Values<'a>,
    k: usize,
}

enum Values<'a> {
    Single(&'a [f32]),
    Half(&'a [f16]),
    Brain(&'a [bf16]),
}

impl<'a> Floats<'a> {
    /// `weight` in an order that [`Self::of`] reads, in f32 if its dtype is none that it does.
    pub fn ready(weight: FlexTensor) -> FlexTensor {
        match weight.dtype() {
            DType::F16 | DType::BF16 if weight.is_contiguous() => weight,
            DType::F16 | DType::BF16 => weight.to_contiguous(),
            _ => dense(weight),
        }
    }

    /// Of a weight that is [`Self::ready`].
    pub fn of(weight: &'a FlexTensor, k: usize) -> Self {
        let values = match weight.dtype() {
            DType::F16 => Values::Half(weight.as_slice().expect("contiguous f16")),
            DType::BF16 => Values::Brain(weight.as_slice().expect("contiguous bf16")),
            _ => Values::Single(weight.as_slice().expect("contiguous f32")),
        };
        Self { values, k }
    }
}

impl Weight for Floats<'_> {
    #[inline(always)]
    fn lying(&self, row: usize, columns: Range<usize>) -> Option<&[f32]> {
        match self.values {
            Values::Single(values) => Some(&values[row * self.k + columns.start..][..columns.len()]),
            _ => None,
        }
    }

    #[inline(always)]
    fn write(&self, row: usize, columns: Range<usize>, out: &mut [f32]) {
        let at = row * self.k + columns.start..row * self.k + columns.end;
        match self.values {
            Values::Single(values) => out.copy_from_slice(&values[at]),
            Values::Half(values) => values[at].convert_to_f32_slice(out),
            Values::Brain(values) => {
                out.iter_mut().zip(&values[at]).for_each(|(out, value)| *out = value.to_f32());
            }
        }
    }
}
