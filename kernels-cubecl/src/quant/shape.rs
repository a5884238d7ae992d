//! Sizes of a product, checked.

use burn::{prelude::*, tensor::DType};

use super::{
    Absmax,
    codes::DYNAMIC_MAP_LEN,
    launch::{INT8, NF4},
    nested::{NESTED_BLOCK, NestedAbsmax},
};
use crate::KernelError;

/// Blocks are a multiple of this: a word of the weight never lies in two.
const BLOCK_UNIT: usize = 8;

/// `[m, k] x [k, n]`, the weight in blocks along `k`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QuantShape {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub block: usize,
}

impl QuantShape {
    /// Of a weight; `m` is 0.
    pub fn int8(words: &Tensor<2, Int>, scales: &Tensor<2>) -> Result<Self, KernelError> {
        Self::in_blocks(INT8.name, words, 4, scales)
    }

    /// Of a weight; `m` is 0.
    pub fn nf4(words: &Tensor<2, Int>, absmax: &Absmax) -> Result<Self, KernelError> {
        match absmax {
            Absmax::Plain(absmax) => Self::in_blocks(NF4.name, words, 8, absmax),
            Absmax::Nested(nested) => Self::nested(words, nested),
        }
    }

    fn in_blocks(
        name: &'static str,
        words: &Tensor<2, Int>,
        per_word: usize,
        scales: &Tensor<2>,
    ) -> Result<Self, KernelError> {
        are_words(name, words)?;
        let ([n, row], [rows, blocks]) = (words.dims(), scales.dims());
        let k = row * per_word;
        let block = k.checked_div(blocks).unwrap_or(0);
        let stored = matches!(scales.dtype(), DType::F32 | DType::F16);
        if rows != n || !stored || block * blocks != k || !is_block(block) {
            let (dims, dtype) = (scales.dims(), scales.dtype().name());
            let detail = format!("{dims:?} scales of {dtype} for [{n}, {k}] in blocks of a multiple of 8");
            return Err(KernelError::shape(name, detail));
        }
        Ok(Self { m: 0, n, k, block })
    }

    fn nested(words: &Tensor<2, Int>, nested: &NestedAbsmax) -> Result<Self, KernelError> {
        are_words(NF4.name, words)?;
        are_words(NF4.name, &nested.codes)?;
        let ([n, row], block) = (words.dims(), nested.block);
        let k = row * 8;
        let blocks = if is_block(block) && k.is_multiple_of(block) { n * (k / block) } else { 0 };
        let held = [nested.codes.dims()[0], nested.absmax.dims()[0], nested.map.dims()[0]];
        let needed = [blocks.div_ceil(4), blocks.div_ceil(NESTED_BLOCK), DYNAMIC_MAP_LEN];
        let single = [&nested.absmax, &nested.map].iter().all(|x| x.dtype() == DType::F32);
        if blocks == 0 || held != needed || !single {
            let detail = format!("nested maxima of sizes {held:?} for [{n}, {k}] in blocks of {block}");
            return Err(KernelError::shape(NF4.name, detail));
        }
        Ok(Self { m: 0, n, k, block })
    }

    /// With the rows of `x`.
    pub fn with_rows(self, name: &'static str, x: &Tensor<2>) -> Result<Self, KernelError> {
        match x.dims() {
            [m, k] if k == self.k => Ok(Self { m, ..self }),
            dims => {
                let detail = format!("{dims:?} times a weight of [{}, {}]", self.n, self.k);
                Err(KernelError::shape(name, detail))
            }
        }
    }

    /// Elements of the largest tensor, 0 if the result has none.
    pub fn largest(&self) -> usize {
        if self.m * self.n == 0 { 0 } else { (self.m * self.n).max(self.m * self.k).max(self.n * self.k) }
    }
}

fn is_block(block: usize) -> bool {
    block > 0 && block.is_multiple_of(BLOCK_UNIT)
}

fn are_words<const D: usize>(name: &'static str, words: &Tensor<D, Int>) -> Result<(), KernelError> {
    match words.dtype() {
        DType::U32 => Ok(()),
        other => Err(KernelError::shape(name, format!("codes in {}, words of u32 are needed", other.name()))),
    }
}

/// Whether `values` are those of `[n, k]`, in whole blocks along a row.
pub(super) fn fits_block(
    name: &'static str,
    values: usize,
    [n, k]: [usize; 2],
    block: usize,
) -> Result<(), KernelError> {
    if n.checked_mul(k) != Some(values) || !is_block(block) || !k.is_multiple_of(block) {
        let detail =
            format!("{values} values for [{n}, {k}] in blocks of {block}; a multiple of 8 that divides {k}");
        return Err(KernelError::shape(name, detail));
    }
    Ok(())
}
