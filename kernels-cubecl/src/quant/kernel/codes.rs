//! What words stand for.

use cubecl::prelude::*;

use super::{CODES, Code, Form, Sizes};

/// bitsandbytes' NormalFloat of four bits.
/// <https://github.com/bitsandbytes-foundation/bitsandbytes/blob/0083b2b51a38eb6c345a80071d9d42993339bd94/csrc/kernels.cu>
#[expect(clippy::excessive_precision, reason = "as published")]
pub const BOOK: [f32; CODES] = [
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
];

/// Codes of a scale in nested scales.
const NESTED_BLOCK: usize = 256;

/// A weight's arguments.
#[derive(CubeType)]
pub(super) struct Weight<'a, S: Float> {
    words: &'a [u32],
    scales: &'a [S],
    codes: &'a [u32],
    map: &'a [f32],
    offset: f32,
}

#[cube]
impl<'a, S: Float> Weight<'a, S> {
    pub fn new(
        words: &'a [u32],
        scales: &'a [S],
        codes: &'a [u32],
        map: &'a [f32],
        offset: f32,
    ) -> Weight<'a, S> {
        Weight::<'a, S> { words, scales, codes, map, offset }
    }

    /// Word number `at`.
    pub fn word(&self, at: usize) -> u32 {
        self.words[at]
    }

    /// What the codes of row `row` from column `column` on are multiplied by.
    pub fn scale(&self, row: usize, column: usize, sizes: &Sizes, #[comptime] form: Form) -> f32 {
        let block = sizes.block as usize;
        let at = row * (sizes.k as usize / block) + column / block;
        if comptime!(form.nested) {
            let code = self.codes[at / 4] >> ((at % 4) as u32 * 8u32) & 255u32;
            self.map[code as usize] * f32::cast_from(self.scales[at / NESTED_BLOCK]) + self.offset
        } else {
            f32::cast_from(self.scales[at])
        }
    }
}

/// Writes the code book, if the form has one; the next barrier makes it everyone's.
#[cube]
pub(super) fn write_book(book: &mut Shared<[f32]>, #[comptime] form: Form) {
    if comptime!(form.code == Code::Nf4) {
        let unit = UNIT_POS as usize;
        #[unroll]
        for code in 0..CODES {
            if unit == code {
                book[code] = comptime!(BOOK[code]).runtime();
            }
        }
    }
}

/// The value of code number `at` of `word`.
#[cube]
pub(super) fn value(word: u32, book: &Shared<[f32]>, #[comptime] at: usize, #[comptime] form: Form) -> f32 {
    if comptime!(form.code == Code::Int8) {
        let byte = word >> comptime!(8 * at as u32) & 255u32;
        // The sign's bit turned, two's complement is the distance from the lowest code.
        f32::cast_from(byte ^ 128u32) - 128.0f32
    } else {
        // Of two codes in a byte the first is the higher.
        let code = word >> comptime!(4 * (at as u32 ^ 1)) & 15u32;
        book[code as usize]
    }
}
