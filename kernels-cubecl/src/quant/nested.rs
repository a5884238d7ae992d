//! Maxima of blocks that are themselves quantized: bitsandbytes' double quantization.

use burn::{prelude::*, tensor::DType};

use super::{
    codes::{DYNAMIC_MAP_LEN, dynamic_map},
    int8::largest,
    matrix::words,
};

/// Maxima that share an f32.
pub(super) const NESTED_BLOCK: usize = 256;

/// Maxima of blocks on a device: `map[code] * absmax[number / 256] + offset` for each.
#[derive(Module, Debug)]
pub struct NestedAbsmax {
    /// `[codes / 4]` words of four bytes, the first one lowest, filled up with any.
    pub codes: Tensor<1, Int>,
    /// One for each 256 codes, in f32.
    pub absmax: Tensor<1>,
    /// The values of the codes, in f32; those of [`dynamic_map`] where bitsandbytes wrote them.
    pub map: Tensor<1>,
    pub offset: f32,
    /// Values of the weight that share a maximum.
    pub block: usize,
}

/// Maxima of blocks on the host, as bitsandbytes nests them.
#[derive(Clone, Debug, PartialEq)]
pub struct NestedScales {
    pub codes: Vec<u8>,
    /// One for each 256 codes.
    pub absmax: Vec<f32>,
    /// What was taken off before: the mean.
    pub offset: f32,
}

/// Quantizes maxima to the nearest values of [`dynamic_map`] in blocks of 256, around their mean.
pub fn nest(maxima: &[f32]) -> NestedScales {
    let sum: f64 = maxima.iter().map(|&value| f64::from(value)).sum();
    let offset = (sum / maxima.len().max(1) as f64) as f32;
    let map = dynamic_map();
    let (mut codes, mut absmax) = (Vec::with_capacity(maxima.len()), Vec::new());
    for block in maxima.chunks(NESTED_BLOCK) {
        let centred: Vec<f32> = block.iter().map(|value| value - offset).collect();
        let most = largest(&centred);
        let factor = if most > 0.0 { most.recip() } else { 0.0 };
        codes.extend(centred.iter().map(|value| nearest(&map, value * factor)));
        absmax.push(most);
    }
    NestedScales { codes, absmax, offset }
}

/// The index of the value nearest to `x`, of two as near the lower.
fn nearest(map: &[f32], x: f32) -> u8 {
    let above = map.partition_point(|&value| value < x).clamp(1, DYNAMIC_MAP_LEN - 1);
    let nearer_above = x > (map[above - 1] + map[above]) * 0.5;
    // Below 256.
    (if nearer_above { above } else { above - 1 }) as u8
}

impl NestedScales {
    /// The maxima.
    pub fn dequantize(&self) -> Vec<f32> {
        let map = dynamic_map();
        let value =
            |(at, &code): (usize, &u8)| map[usize::from(code)] * self.absmax[at / NESTED_BLOCK] + self.offset;
        self.codes.iter().enumerate().map(value).collect()
    }

    /// On `device`, for blocks of `block` values.
    pub fn on(&self, block: usize, device: &Device) -> NestedAbsmax {
        let floats = |values: Vec<f32>| Tensor::from_data(&*values, (device, DType::F32));
        let padded = self.codes.len().next_multiple_of(4);
        let mut bytes = self.codes.clone();
        bytes.resize(padded, 0);
        NestedAbsmax {
            codes: words(&bytes, [padded / 4], device),
            absmax: floats(self.absmax.clone()),
            map: floats(dynamic_map()),
            offset: self.offset,
            block,
        }
    }
}
