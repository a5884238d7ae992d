//! Weights in eight and in four bits as files hold them.

mod read;

use burn::{
    prelude::*,
    tensor::{AllocationProperty, Bytes, DType},
};
use rayon::prelude::*;
use wan_kernels::{Absmax, DYNAMIC_MAP_LEN, NF4, NestedAbsmax, QuantizedMatrix, Scales};

use crate::{
    Quant, Stored, TensorBytes,
    convert::{self, Fault},
    quant,
};
pub(crate) use read::recognise;

/// Maxima that share a maximum in the form that products take.
pub(crate) const NESTED_BLOCK: usize = 256;
/// Blocks that products take are multiples of this.
const BLOCK_UNIT: usize = 8;

/// A matrix `[n, k]` in a file: codes, and what they are multiplied by. Nothing but the form is read before it is used.
#[derive(Clone, Debug)]
pub struct Packed {
    shape: [usize; 2],
    /// Int8: `[n, k]`; nf4: two codes in a byte, the first one higher.
    codes: TensorBytes,
    /// Values in order, over the ends of rows if it must be, that share a scale.
    block: usize,
    scales: PackedScales,
}

#[derive(Clone, Debug)]
enum PackedScales {
    /// Eight bits: the scales times `divisor`.
    Int8 { scales: Floats, divisor: f32 },
    /// Four bits: the blocks' maxima.
    Nf4(Floats),
    /// Four bits: `map[code] * absmax[number / block] + offset` for each block.
    Nested { codes: TensorBytes, absmax: Floats, map: Floats, offset: f32, block: usize },
}

/// Floats as a file holds them.
#[derive(Clone, Debug)]
struct Floats {
    bytes: TensorBytes,
    stored: Stored,
}

impl Floats {
    fn values(&self) -> Result<Vec<f32>, Fault> {
        convert::values(&self.stored, &self.bytes)
    }
}

impl Packed {
    /// `[n, k]`
    pub fn shape(&self) -> [usize; 2] {
        self.shape
    }

    /// In how many bits.
    pub fn quant(&self) -> Quant {
        match self.scales {
            PackedScales::Int8 { .. } => Quant::Int8,
            PackedScales::Nf4(_) | PackedScales::Nested { .. } => Quant::Nf4,
        }
    }

    pub(crate) fn codes(&self) -> &TensorBytes {
        &self.codes
    }

    /// Says that the bytes are not needed soon.
    pub(crate) fn release(&self) {
        self.codes.release();
    }

    /// On `device`, on the host without a copy of codes that lie on a multiple of four; `None` if a block goes over the
    /// end of a row or is none that products take.
    pub(crate) fn matrix(
        &self,
        half_scales: bool,
        device: &Device,
    ) -> Result<Option<QuantizedMatrix>, Fault> {
        let [n, k] = self.shape;
        if !self.block.is_multiple_of(BLOCK_UNIT) || !k.is_multiple_of(self.block) {
            return Ok(None);
        }
        let per_word = if self.quant() == Quant::Int8 { 4 } else { 8 };
        let scales = self.device_scales(half_scales, device)?;
        let words = words(&self.codes, [n, k / per_word], device);
        Ok(QuantizedMatrix::from_parts(words, scales).ok())
    }

    /// Bytes of the codes and of the scales that [`Self::matrix`] holds; `None` where it gives none.
    pub(crate) fn held_bytes(&self, half_scales: bool) -> Option<[u64; 2]> {
        let [n, k] = self.shape;
        if !self.block.is_multiple_of(BLOCK_UNIT) || !k.is_multiple_of(self.block) {
            return None;
        }
        let blocks = n * k / self.block;
        let scales = match &self.scales {
            PackedScales::Int8 { scales, .. } if half_scales && scales.stored == Stored::F16 => 2 * blocks,
            PackedScales::Nested { block: NESTED_BLOCK, .. } => quant::nested_bytes(blocks),
            _ => 4 * blocks,
        };
        Some([self.codes.len() as u64, scales as u64])
    }

    fn device_scales(&self, half_scales: bool, device: &Device) -> Result<Scales, Fault> {
        let [n, k] = self.shape;
        let by_block = |values: Vec<f32>, dtype| {
            let data = TensorData::new(values, [n, k / self.block]).convert_dtype(dtype);
            Tensor::<2>::from_data(data, (device, dtype))
        };
        Ok(match &self.scales {
            PackedScales::Int8 { scales, .. } => {
                let half = half_scales && scales.stored == Stored::F16;
                Scales::Int8(by_block(self.maxima()?, if half { DType::F16 } else { DType::F32 }))
            }
            PackedScales::Nested { codes, absmax, map, offset, block: NESTED_BLOCK } => {
                let floats = |values: Vec<f32>| Tensor::<1>::from_data(&*values, (device, DType::F32));
                Scales::Nf4(Absmax::Nested(NestedAbsmax {
                    codes: padded_words(codes, device),
                    absmax: floats(absmax.values()?),
                    map: floats(map.values()?),
                    offset: *offset,
                    block: self.block,
                }))
            }
            _ => Scales::Nf4(Absmax::Plain(by_block(self.maxima()?, DType::F32))),
        })
    }

    /// What the values of each block's codes are multiplied by.
    fn maxima(&self) -> Result<Vec<f32>, Fault> {
        match &self.scales {
            PackedScales::Nf4(absmax) => absmax.values(),
            PackedScales::Int8 { scales, divisor } => {
                Ok(scales.values()?.into_iter().map(|scale| scale / divisor).collect())
            }
            PackedScales::Nested { codes, absmax, map, offset, block } => {
                let (absmax, map) = (absmax.values()?, map.values()?);
                let value = |(at, &code): (usize, &u8)| map[usize::from(code)] * absmax[at / block] + offset;
                Ok(codes.iter().enumerate().map(value).collect())
            }
        }
    }

    /// `[n, k]` in f32.
    pub(crate) fn dequantize(&self) -> Result<Vec<f32>, Fault> {
        let scales = self.maxima()?;
        let mut out = vec![0f32; self.shape[0] * self.shape[1]];
        let blocks = out.par_chunks_mut(self.block).zip(&scales).enumerate();
        let nf4 = self.quant() == Quant::Nf4;
        blocks.for_each(|(number, (block, scale))| {
            for (out, at) in block.iter_mut().zip(number * self.block..) {
                *out =
                    scale * if nf4 { NF4[nibble(&self.codes, at)] } else { f32::from(self.codes[at] as i8) };
            }
        });
        if out.iter().all(|value| value.is_finite()) { Ok(out) } else { Err(Fault::NonFinite) }
    }
}

/// Code `at` of bytes that hold two each, the first one higher.
fn nibble(bytes: &[u8], at: usize) -> usize {
    let byte = bytes[at / 2];
    usize::from(if at.is_multiple_of(2) { byte >> 4 } else { byte & 15 })
}

/// Whole words of `bytes`, borrowed where they may be.
fn words<const D: usize>(bytes: &TensorBytes, shape: [usize; D], device: &Device) -> Tensor<D, Int> {
    let borrowed = cfg!(target_endian = "little") && bytes.as_ptr().align_offset(align_of::<u32>()) == 0;
    let data = if borrowed {
        let shared = Bytes::from_shared(bytes.shared(), AllocationProperty::File);
        TensorData::from_bytes(shared, shape.to_vec(), DType::U32)
    } else {
        let words: Vec<u32> = bytes.as_chunks::<4>().0.iter().map(|four| u32::from_le_bytes(*four)).collect();
        TensorData::new(words, shape)
    };
    let words = Tensor::from_data(data, (device, DType::U32));
    // On the host borrowed words are these very pages.
    if !borrowed || *device != Device::flex() {
        bytes.release();
    }
    words
}

/// Words of `bytes` and of zeros behind them.
fn padded_words(bytes: &TensorBytes, device: &Device) -> Tensor<1, Int> {
    let padded = bytes.len().next_multiple_of(4);
    if padded == bytes.len() {
        return words(bytes, [padded / 4], device);
    }
    let mut copy = bytes.to_vec();
    copy.resize(padded, 0);
    words(&TensorBytes::owned(copy), [padded / 4], device)
}

const _: () = assert!(DYNAMIC_MAP_LEN == 256, "a code of a maximum is a byte");
