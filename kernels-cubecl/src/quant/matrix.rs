//! A quantized weight as a layer holds it.

use burn::{prelude::*, tensor::DType};

use super::{Absmax, Int8Weight, NestedScales, Nf4Weight, matmul_int8, matmul_nf4, shape::QuantShape};
use crate::KernelError;

/// A matrix `[n, k]` in eight or four bits on a device, to multiply with.
///
/// Its tensors are constants of a module: they move with it from device to device, and nothing that visits or maps
/// parameters, an initialiser or a cast to another float dtype among them, comes across them.
#[derive(Module, Debug)]
pub struct QuantizedMatrix {
    words: Tensor<2, Int>,
    scales: Scales,
}

/// What the codes of a [`QuantizedMatrix`] are, and what they are multiplied by.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "one for each layer")]
pub enum Scales {
    /// Eight bits; `[n, k / block]` in f32 or f16.
    Int8(Tensor<2>),
    /// Four bits.
    Nf4(Absmax),
}

impl QuantizedMatrix {
    /// Of `words`, see [`matmul_int8`] and [`matmul_nf4`]. Bytes that a file holds are such words as they are:
    /// `TensorData::from_bytes` of them with `DType::U32`.
    ///
    /// # Errors
    /// [`KernelError::InvalidShape`] if they are not words, or do not fit their scales.
    pub fn from_parts(words: Tensor<2, Int>, scales: Scales) -> Result<Self, KernelError> {
        shape(&words, &scales)?;
        Ok(Self { words, scales })
    }

    /// A row of the product for each row of `x`: `[m, k]` to `[m, n]` in f32.
    ///
    /// # Panics
    /// If `x` is not `k` wide.
    pub fn matmul(&self, x: Tensor<2>) -> Tensor<2> {
        match &self.scales {
            Scales::Int8(scales) => matmul_int8(x, self.words.clone(), scales.clone()),
            Scales::Nf4(absmax) => matmul_nf4(x, self.words.clone(), absmax.clone()),
        }
    }

    /// `[n, k]`
    pub fn dims(&self) -> [usize; 2] {
        let per_word = if matches!(self.scales, Scales::Int8(_)) { 4 } else { 8 };
        let [n, words] = self.words.dims();
        [n, words * per_word]
    }

    /// Held by the device, scales and code books included.
    pub fn bytes(&self) -> usize {
        let scales = match &self.scales {
            Scales::Int8(scales) | Scales::Nf4(Absmax::Plain(scales)) => float_bytes(scales),
            Scales::Nf4(Absmax::Nested(nested)) => {
                float_bytes(&nested.absmax) + float_bytes(&nested.map) + 4 * nested.codes.dims()[0]
            }
        };
        4 * self.words.shape().num_elements() + scales
    }

    /// The parts again.
    pub fn into_parts(self) -> (Tensor<2, Int>, Scales) {
        (self.words, self.scales)
    }
}

fn shape(words: &Tensor<2, Int>, scales: &Scales) -> Result<QuantShape, KernelError> {
    match scales {
        Scales::Int8(scales) => QuantShape::int8(words, scales),
        Scales::Nf4(absmax) => QuantShape::nf4(words, absmax),
    }
}

fn float_bytes<const D: usize>(x: &Tensor<D>) -> usize {
    x.shape().num_elements() * x.dtype().size()
}

impl Absmax {
    /// Of what is held in floats.
    pub(super) fn dtype(&self) -> DType {
        match self {
            Self::Plain(scales) => scales.dtype(),
            Self::Nested(nested) => nested.absmax.dtype(),
        }
    }
}

impl Int8Weight {
    /// On `device`, its scales in `dtype`, f32 or f16.
    pub fn on(&self, dtype: DType, device: &Device) -> QuantizedMatrix {
        let bytes: &[u8] = bytemuck::cast_slice(&self.bytes);
        let scales = floats(&self.scales, [self.n, self.k / self.block], dtype, device);
        QuantizedMatrix { words: words(bytes, [self.n, self.k / 4], device), scales: Scales::Int8(scales) }
    }
}

impl Nf4Weight {
    /// On `device`, its maxima in `dtype`, f32 or f16.
    pub fn on(&self, dtype: DType, device: &Device) -> QuantizedMatrix {
        let maxima = floats(&self.absmax, [self.n, self.k / self.block], dtype, device);
        self.with(Absmax::Plain(maxima), device)
    }

    /// On `device`, its maxima nested.
    pub fn nested_on(&self, maxima: &NestedScales, device: &Device) -> QuantizedMatrix {
        self.with(Absmax::Nested(maxima.on(self.block, device)), device)
    }

    fn with(&self, absmax: Absmax, device: &Device) -> QuantizedMatrix {
        let words = words(&self.packed, [self.n, self.k / 8], device);
        QuantizedMatrix { words, scales: Scales::Nf4(absmax) }
    }
}

/// Whole words of `bytes`, the first of each four lowest.
pub(super) fn words<const D: usize>(bytes: &[u8], shape: [usize; D], device: &Device) -> Tensor<D, Int> {
    let words: Vec<u32> = bytes.as_chunks::<4>().0.iter().map(|four| u32::from_le_bytes(*four)).collect();
    Tensor::from_data(TensorData::new(words, shape), (device, DType::U32))
}

fn floats(values: &[f32], shape: [usize; 2], dtype: DType, device: &Device) -> Tensor<2> {
    let data = TensorData::new(values.to_vec(), shape).convert_dtype(dtype);
    Tensor::from_data(data, (device, dtype))
}
