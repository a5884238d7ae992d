//! Weights of large linear layers in fewer bits.

use burn::{prelude::*, tensor::DType};
use half::f16;
use wan_kernels::{
    DYNAMIC_MAP_LEN, Int8Weight, KernelError, NF4_BLOCK, NestedScales, Nf4Weight, QuantizedMatrix, nest,
    quantize_int8, quantize_nf4,
};

use crate::{DtypePolicy, ImportError, TensorSource, convert, packed::NESTED_BLOCK};

/// In how many bits the weights of large linear layers are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quant {
    /// Eight bits, symmetric in blocks of [`INT8_BLOCK`] along a row, with a scale in f16 each.
    Int8,
    /// The four-bit code book of bitsandbytes in blocks of 64, their maxima quantized in turn.
    Nf4,
}

/// Values of a row that share a scale: a 128th of the weight more, and no value that is far
/// off spoils more than these.
pub const INT8_BLOCK: usize = 256;

/// The tensor `key` of `shape` as the file holds it or the policy wants it; `None` for floats and for rows that the
/// blocks do not divide.
pub(crate) fn matrix(
    key: &str,
    shape: &[usize],
    policy: &DtypePolicy,
    source: &dyn TensorSource,
    device: &Device,
) -> Result<Option<QuantizedMatrix>, ImportError> {
    if source.packed(key).is_some() {
        return packed_matrix(source, key, policy.half_scales, device);
    }
    let (Some(quant), &[n, k]) = (policy.quant, shape) else { return Ok(None) };
    let found = source.info(key).zip(source.data(key));
    let Some((info, bytes)) = found.filter(|_| quant.fits(k)) else { return Ok(None) };
    let fault = |fault: convert::Fault| fault.of(source.path(), key, quant.name());
    let values = convert::values(&info.dtype, &bytes).map_err(fault)?;
    bytes.release();
    let matrix = quant.quantize(&values, [n, k], policy.half_scales, device);
    Ok(Some(matrix.map_err(|error| ImportError::config(source.path(), format!("{key}: {error}")))?))
}

/// The weight `key` that `source` holds in fewer bits, on `device`; on the host its codes borrow the mapped file if they
/// lie on a multiple of four bytes there. Scales that are f16 in the file stay so with `half_scales`. `None` for other tensors, and for blocks that products do not take.
///
/// # Errors
/// [`ImportError::NonFinite`] for scales that are.
pub fn packed_matrix(
    source: &dyn TensorSource,
    key: &str,
    half_scales: bool,
    device: &Device,
) -> Result<Option<QuantizedMatrix>, ImportError> {
    let Some(packed) = source.packed(key) else { return Ok(None) };
    packed.matrix(half_scales, device).map_err(|fault| fault.of(source.path(), key, packed.quant().name()))
}

impl Quant {
    /// As flags and packages name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Int8 => "int8",
            Self::Nf4 => "nf4",
        }
    }

    /// Whether rows of `k` values are whole blocks.
    pub(crate) fn fits(self, k: usize) -> bool {
        let block = match self {
            Self::Int8 => INT8_BLOCK,
            Self::Nf4 => NF4_BLOCK,
        };
        k > 0 && k.is_multiple_of(block)
    }

    /// What [`Self::quantize`] makes of `[n, k]` holds.
    pub(crate) fn bytes(self, [n, k]: [usize; 2], half_scales: bool) -> u64 {
        let bytes = match self {
            Self::Int8 => n * k + n * (k / INT8_BLOCK) * if half_scales { 2 } else { 4 },
            Self::Nf4 => n * k / 2 + nested_bytes(n * k / NF4_BLOCK),
        };
        bytes as u64
    }

    /// The matrix `values`, `[n, k]`, on `device`.
    ///
    /// # Errors
    /// [`KernelError`] if the blocks do not divide the rows.
    pub fn quantize(
        self,
        values: &[f32],
        shape: [usize; 2],
        half_scales: bool,
        device: &Device,
    ) -> Result<QuantizedMatrix, KernelError> {
        Ok(Weight::of(self, values, shape)?.matrix(half_scales, device))
    }
}

/// Of the nested maxima of `blocks` blocks: whole words of codes, their maxima, and the values of the codes.
pub(crate) fn nested_bytes(blocks: usize) -> usize {
    blocks.next_multiple_of(4) + 4 * (blocks.div_ceil(NESTED_BLOCK) + DYNAMIC_MAP_LEN)
}

/// A weight `[n, k]`, quantized, on the host.
pub(crate) enum Weight {
    /// With scales in f16.
    Int8(Int8Weight, Vec<f16>),
    Nf4(Nf4Weight, NestedScales),
}

impl Weight {
    /// Of `values`, `[n, k]`.
    pub(crate) fn of(quant: Quant, values: &[f32], [n, k]: [usize; 2]) -> Result<Self, KernelError> {
        Ok(match quant {
            Quant::Int8 => {
                let weight = quantize_int8(values, n, k, INT8_BLOCK)?;
                let scales = weight.scales.iter().map(|&scale| f16::from_f32(scale)).collect();
                Self::Int8(weight, scales)
            }
            Quant::Nf4 => {
                let weight = quantize_nf4(values, n, k)?;
                let maxima = nest(&weight.absmax);
                Self::Nf4(weight, maxima)
            }
        })
    }

    fn matrix(self, half_scales: bool, device: &Device) -> QuantizedMatrix {
        match self {
            Self::Int8(weight, scales) => {
                // The same values everywhere: not every device has f16.
                let scales = scales.iter().map(|scale| scale.to_f32()).collect();
                let dtype = if half_scales { DType::F16 } else { DType::F32 };
                Int8Weight { scales, ..weight }.on(dtype, device)
            }
            Self::Nf4(weight, maxima) => weight.nested_on(&maxima, device),
        }
    }
}
