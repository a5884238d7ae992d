//! The quantizer to eight bits.

use rayon::prelude::*;

use super::shape::fits_block;
use crate::KernelError;

/// Values to a task at least.
pub(super) const PIECE: usize = 1 << 12;

/// The largest code.
const MOST: f32 = 127.0;

/// A matrix in eight bits on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct Int8Weight {
    /// `[n, k]`
    pub bytes: Vec<i8>,
    /// `[n, k / block]`: what a code is multiplied by.
    pub scales: Vec<f32>,
    pub n: usize,
    pub k: usize,
    pub block: usize,
}

/// Quantizes `values`, `[n, k]`, in blocks of `block` along a row, `k` for one per row: the largest absolute value of a
/// block becomes 127, and what falls between two codes the nearer, or the even of two as near. A block of zeros has the
/// scale 0; NaN becomes 0.
///
/// # Errors
/// [`KernelError::InvalidShape`] unless there are `n * k` values, `block` divides `k` and is a multiple of 8.
pub fn quantize_int8(values: &[f32], n: usize, k: usize, block: usize) -> Result<Int8Weight, KernelError> {
    fits_block("quantize_int8", values.len(), [n, k], block)?;
    let mut bytes = vec![0i8; values.len()];
    let mut scales = vec![0f32; values.len() / block];
    let blocks = bytes.par_chunks_mut(block).zip(values.par_chunks(block)).zip(&mut scales);
    blocks.with_min_len(PIECE.div_ceil(block)).for_each(|((bytes, values), scale)| {
        let absmax = largest(values);
        *scale = absmax / MOST;
        let factor = if absmax > 0.0 { MOST / absmax } else { 0.0 };
        for (byte, &value) in bytes.iter_mut().zip(values) {
            // A tiny largest value has an infinite factor.
            *byte = (value * factor).round_ties_even().clamp(-MOST, MOST) as i8;
        }
    });
    Ok(Int8Weight { bytes, scales, n, k, block })
}

/// The largest absolute value; NaN counts as none.
pub(super) fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |most, value| value.abs().max(most))
}

impl Int8Weight {
    /// `[n, k]`
    pub fn dequantize(&self) -> Vec<f32> {
        let blocks = self.bytes.par_chunks(self.block).zip(&self.scales);
        blocks
            .flat_map_iter(|(codes, &scale)| codes.iter().map(move |&code| f32::from(code) * scale))
            .collect()
    }
}
