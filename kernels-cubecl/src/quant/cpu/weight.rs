//! Parts of a weight in f32.

use std::ops::Range;

use burn::tensor::f16;

use crate::quant::{codes::NF4, nested::NESTED_BLOCK};

/// What both codes of a byte stand for, the higher one first.
static PAIRS: [[f32; 2]; 256] = pairs();

const fn pairs() -> [[f32; 2]; 256] {
    let mut pairs = [[0.0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [NF4[byte >> 4], NF4[byte & 15]];
        byte += 1;
    }
    pairs
}

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
    pub four_bits: bool,
    pub scales: Scales<'a>,
    pub k: usize,
    pub block: usize,
}

impl Weight<'_> {
    /// Writes columns `columns` of row `row`; they start and end at even columns.
    #[inline(always)]
    pub fn dequantize(&self, row: usize, columns: Range<usize>, out: &mut [f32]) {
        let per_byte = if self.four_bits { 2 } else { 1 };
        let bytes = &self.bytes[row * self.k / per_byte..][..self.k / per_byte];
        let mut start = columns.start;
        while start < columns.end {
            let number = start / self.block;
            let end = columns.end.min((number + 1) * self.block);
            let scale = self.scales.get(row * (self.k / self.block) + number);
            let out = &mut out[start - columns.start..end - columns.start];
            let bytes = &bytes[start / per_byte..end / per_byte];
            if self.four_bits {
                four_bits(bytes, scale, out)
            } else {
                eight_bits(bytes, scale, out)
            }
            start = end;
        }
    }
}

#[inline(always)]
fn eight_bits(bytes: &[u8], scale: f32, out: &mut [f32]) {
    for (out, &byte) in out.iter_mut().zip(bytes) {
        *out = f32::from(byte.cast_signed()) * scale;
    }
}

/// In two passes: looking up goes byte by byte, multiplying by vectors.
#[inline(always)]
fn four_bits(bytes: &[u8], scale: f32, out: &mut [f32]) {
    for (out, &byte) in out.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *out = PAIRS[usize::from(byte)];
    }
    out.iter_mut().for_each(|out| *out *= scale);
}
