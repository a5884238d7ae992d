//! Products with a weight on the host, `x W^T`.
//!
//! A few rows of activations are multiplied with a row of the weight at a time. For more, a thread takes some hundred
//! columns of some rows of the weight, which then stay in its second-level cache, and multiplies all rows of
//! activations with them, which are packed in the order that the register tile reads them. A weight that does not lie
//! in f32 becomes that where it is read, a few hundred values at a time.

mod dots;
mod float;
mod tiles;
mod transpose;

use std::ops::Range;

use burn::{backend::flex::FlexTensor, tensor::DType};

pub(crate) use self::float::Floats;
use crate::{
    gelu_bias::gelu_value,
    host::{Output, new_values, tensor},
};

/// Up to so many rows of activations, products with one row of the weight at a time are faster.
const DOT_ROWS: usize = 8;

/// A weight `[n, k]` in whatever form. What is inlined of it is compiled for the widest vectors.
pub(crate) trait Weight: Sync {
    /// Columns `columns` of row `row` where they lie, if that is in f32.
    fn lying(&self, row: usize, columns: Range<usize>) -> Option<&[f32]>;

    /// Writes columns `columns` of row `row`. They start at a multiple of 8, and end at one or with the row.
    fn write(&self, row: usize, columns: Range<usize>, out: &mut [f32]);
}

/// What is done with sums of products before they are written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Finish<'a> {
    /// `[n]`, added if there is one.
    pub bias: Option<&'a [f32]>,
    /// Then GELU, the tanh form.
    pub gelu: bool,
}

impl Finish<'_> {
    /// Of results of `columns` in one row.
    #[inline(always)]
    fn apply(&self, columns: Range<usize>, values: &mut [f32]) {
        if let Some(bias) = self.bias {
            values.iter_mut().zip(&bias[columns]).for_each(|(value, &bias)| *value += bias);
        }
        if self.gelu {
            values.iter_mut().for_each(|value| *value = gelu_value(*value));
        }
    }
}

/// `[m, k]` values `x` times the weight of `[n, k]`: `[m, n]` f32.
pub(crate) fn product(
    x: &[f32],
    weight: &impl Weight,
    [m, n, k]: [usize; 3],
    finish: Finish<'_>,
) -> FlexTensor {
    let values = new_values(m * n, |out| {
        let out = Output::new(out);
        let problem = Problem { x, weight, m, n, k, finish, out: &out };
        if m <= DOT_ROWS { dots::multiply(&problem) } else { tiles::multiply(&problem) }
    });
    tensor(values, vec![m, n], DType::F32)
}

/// Packed activations of a product of `m` rows of `k` values.
pub(crate) fn packed_bytes(m: usize, k: usize) -> u64 {
    if m <= DOT_ROWS { 0 } else { tiles::packed_bytes(m, k) as u64 }
}

/// One call.
struct Problem<'a, W> {
    /// `[m, k]`
    x: &'a [f32],
    weight: &'a W,
    m: usize,
    n: usize,
    k: usize,
    finish: Finish<'a>,
    /// `[m, n]`
    out: &'a Output<'a>,
}
