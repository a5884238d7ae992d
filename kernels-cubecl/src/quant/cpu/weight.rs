//! Parts of a weight in f32.

use std::ops::Range;

use burn::tensor::f16;

use super::nibbles::Book;
use crate::{product, quant::nested::NESTED_BLOCK};

/// Float values as they are stored.
#[derive(Clone, Copy)]
pub enum Values<'a> {
    Single(&'a [f32]),
    Half(&'a [f16]),
}

impl Values<'_> {
    fn get(&self, at: usize) -> f32 {
        match self {
            Self::Single(values) => values[at],
            Self::Half(values) => values[at].to_f32(),
        }
    }
}

/// What codes are multiplied by, block by block.
#[derive(Clone, Copy)]
pub enum Scales<'a> {
    Plain(Values<'a>),
    Nested { codes: &'a [u8], maxima: Values<'a>, map: &'a [f32], offset: f32 },
}

impl Scales<'_> {
    fn get(&self, at: usize) -> f32 {
        match self {
            Self::Plain(values) => values.get(at),
            Self::Nested { codes, maxima, map, offset } => {
                map[usize::from(codes[at])] * maxima.get(at / NESTED_BLOCK) + offset
            }
        }
    }
}

/// A weight of `[n, k]`.
#[derive(Clone, Copy)]
pub struct Weight<'a> {
    /// Row by row, a code or two in each.
    pub bytes: &'a [u8],
    /// Of codes of four bits; without one, they are of eight.
    pub book: Option<Book>,
    pub scales: Scales<'a>,
    pub k: usize,
    pub block: usize,
}

impl product::Weight for Weight<'_> {
    #[inline(always)]
    fn lying(&self, _row: usize, _columns: Range<usize>) -> Option<&[f32]> {
        None
    }

    #[inline(always)]
    fn write(&self, row: usize, columns: Range<usize>, out: &mut [f32]) {
        let per_byte = if self.book.is_some() { 2 } else { 1 };
        let bytes = &self.bytes[row * self.k / per_byte..][..self.k / per_byte];
        let (mut start, mut number) = (columns.start, columns.start / self.block);
        let first = row * (self.k / self.block);
        while start < columns.end {
            let end = columns.end.min((number + 1) * self.block);
            let scale = self.scales.get(first + number);
            let out = &mut out[start - columns.start..end - columns.start];
            let bytes = &bytes[start / per_byte..end / per_byte];
            match self.book {
                Some(book) => book.look_up(bytes, scale, out),
                None => eight_bits(bytes, scale, out),
            }
            (start, number) = (end, number + 1);
        }
    }
}

#[inline(always)]
fn eight_bits(bytes: &[u8], scale: f32, out: &mut [f32]) {
    for (out, &byte) in out.iter_mut().zip(bytes) {
        *out = f32::from(byte.cast_signed()) * scale;
    }
}
