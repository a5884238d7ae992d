//! Codes of four bits in f32.

use crate::quant::codes::NF4;

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

/// How codes are looked up on this processor.
#[derive(Clone, Copy)]
pub struct Book {
    #[cfg(target_arch = "x86_64")]
    vectors: Option<pulp::x86::V3>,
}

impl Book {
    pub fn of_this_machine() -> Self {
        Self {
            #[cfg(target_arch = "x86_64")]
            vectors: pulp::x86::V3::try_new(),
        }
    }

    /// Writes the values of the codes in `bytes`, a multiple of four, times `scale`.
    #[inline(always)]
    pub fn look_up(self, bytes: &[u8], scale: f32, out: &mut [f32]) {
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = self.vectors {
            return by_vectors(simd, bytes, scale, out);
        }
        by_pairs(bytes, scale, out);
    }
}

/// In two passes: looking up goes byte by byte, multiplying by vectors.
#[inline(always)]
fn by_pairs(bytes: &[u8], scale: f32, out: &mut [f32]) {
    for (out, &byte) in out.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *out = PAIRS[usize::from(byte)];
    }
    out.iter_mut().for_each(|out| *out *= scale);
}

/// Eight codes at a time: each half of the code book is a register, of which the lower three bits choose a value; the
/// fourth chooses the half.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn by_vectors(simd: pulp::x86::V3, bytes: &[u8], scale: f32, out: &mut [f32]) {
    const SHIFTS: [u32; 8] = [4, 0, 12, 8, 20, 16, 28, 24];
    let half = |first: usize| -> [f32; 8] { std::array::from_fn(|code| NF4[first + code] * scale) };
    let (low, high, shifts) = (pulp::cast(half(0)), pulp::cast(half(8)), pulp::cast(SHIFTS));
    for (out, four) in out.as_chunks_mut::<8>().0.iter_mut().zip(bytes.as_chunks::<4>().0) {
        let word = simd.avx._mm256_set1_epi32(i32::from_le_bytes(*four));
        let codes = simd.avx2._mm256_srlv_epi32(word, shifts);
        let low = simd.avx2._mm256_permutevar8x32_ps(low, codes);
        let high = simd.avx2._mm256_permutevar8x32_ps(high, codes);
        let fourth = simd.avx._mm256_castsi256_ps(simd.avx2._mm256_slli_epi32::<28>(codes));
        *out = pulp::cast(simd.avx._mm256_blendv_ps(low, high, fourth));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_in_every_place_by_either_way() {
        let bytes: Vec<u8> = (0..4_096u32).map(|n| (n * 167 + n / 256) as u8).collect();
        let expected = |scale: f32| -> Vec<f32> {
            let codes = bytes.iter().flat_map(|&byte| [byte >> 4, byte & 15]);
            codes.map(|code| NF4[usize::from(code)] * scale).collect()
        };
        let mut out = vec![0.0; 8_192];
        by_pairs(&bytes, 0.3, &mut out);
        assert_eq!(out, expected(0.3));
        Book::of_this_machine().look_up(&bytes, -7.0, &mut out);
        assert_eq!(out, expected(-7.0));
    }
}
