//! The quantizer to four bits.

use rayon::prelude::*;

use super::{
    codes::{NF4, nf4_code},
    int8::{PIECE, largest},
    shape::fits_block,
};
use crate::KernelError;

/// Values that share a maximum.
pub const NF4_BLOCK: usize = 64;

/// A matrix in four bits on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct Nf4Weight {
    /// `[n, k / 2]`: of two codes in a byte the first is the higher.
    pub packed: Vec<u8>,
    /// `[n, k / block]`
    pub absmax: Vec<f32>,
    pub n: usize,
    pub k: usize,
    pub block: usize,
}

/// Quantizes `values`, `[n, k]`, in blocks of [`NF4_BLOCK`]: each value by the block's largest absolute value becomes
/// the nearest of [`NF4`]. In a block of zeros all are the code of zero; NaN becomes the lowest code.
///
/// # Errors
/// [`KernelError::InvalidShape`] unless there are `n * k` values and `k` is a multiple of 64, so that no block goes over
/// the end of a row.
pub fn quantize_nf4(values: &[f32], n: usize, k: usize) -> Result<Nf4Weight, KernelError> {
    fits_block("quantize_nf4", values.len(), [n, k], NF4_BLOCK)?;
    let mut packed = vec![0u8; values.len() / 2];
    let mut absmax = vec![0f32; values.len() / NF4_BLOCK];
    let blocks = packed.par_chunks_mut(NF4_BLOCK / 2).zip(values.par_chunks(NF4_BLOCK)).zip(&mut absmax);
    blocks.with_min_len(PIECE / NF4_BLOCK).for_each(|((bytes, values), absmax)| {
        *absmax = largest(values);
        let factor = if *absmax > 0.0 { absmax.recip() } else { 0.0 };
        for (byte, pair) in bytes.iter_mut().zip(values.chunks_exact(2)) {
            *byte = nf4_code(pair[0] * factor) << 4 | nf4_code(pair[1] * factor);
        }
    });
    Ok(Nf4Weight { packed, absmax, n, k, block: NF4_BLOCK })
}

impl Nf4Weight {
    /// `[n, k]`
    pub fn dequantize(&self) -> Vec<f32> {
        let blocks = self.packed.par_chunks(self.block / 2).zip(&self.absmax);
        let values = |(bytes, &absmax): (&[u8], &f32)| {
            let pairs: Vec<_> = bytes.iter().map(|&byte| [byte >> 4, byte & 15]).collect();
            pairs.into_iter().flatten().map(move |code| NF4[usize::from(code)] * absmax)
        };
        blocks.flat_map_iter(values).collect()
    }
}
