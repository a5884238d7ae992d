//! Stored bytes to values of the wanted dtype, in one pass that also finds what is not finite.

use std::path::Path;

use burn::{
    prelude::*,
    tensor::{AllocationProperty, Bytes, DType, Element, FloatDType},
};
use half::{bf16, f16, slice::HalfFloatSliceExt};
use rayon::prelude::*;

use crate::{ImportError, Stored, TensorBytes};

/// Elements per task: small enough for the first cache, large enough to be worth a task.
const CHUNK: usize = 1 << 13;

/// Why a tensor's values were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    NonFinite,
    Overflow,
    /// Neither source nor target of a conversion.
    Dtype,
}

impl Fault {
    /// The error about the tensor `key` of the file at `path`, on its way to `target`.
    pub(crate) fn of(self, path: &Path, key: &str, target: &'static str) -> ImportError {
        let (path, key) = (path.to_owned(), key.to_owned());
        match self {
            Self::NonFinite => ImportError::NonFinite { path, key },
            Self::Overflow => ImportError::Overflow { path, key, target },
            Self::Dtype => ImportError::Dtype { path, key, dtype: target.into() },
        }
    }
}

/// Tensor data of `shape` in `dtype`, and whether it still borrows `bytes`: aligned little-endian bytes of the same
/// dtype are not copied.
pub(crate) fn tensor_data(
    bytes: &TensorBytes,
    stored: &Stored,
    dtype: FloatDType,
    shape: Vec<usize>,
) -> Result<(TensorData, bool), Fault> {
    if let Some(width) = same(stored, dtype).filter(|_| cfg!(target_endian = "little"))
        && bytes.as_ptr().align_offset(width) == 0
    {
        if !all_finite(stored, bytes) {
            return Err(Fault::NonFinite);
        }
        let shared = Bytes::from_shared(bytes.shared(), AllocationProperty::File);
        return Ok((TensorData::from_bytes(shared, shape, dtype.into()), true));
    }
    Ok((copied(bytes, stored, dtype, shape)?, false))
}

/// Values of `shape` in `dtype`.
pub(crate) fn copied(
    bytes: &[u8],
    stored: &Stored,
    dtype: FloatDType,
    shape: Vec<usize>,
) -> Result<TensorData, Fault> {
    match dtype {
        FloatDType::F32 => converted::<f32>(stored, bytes, shape),
        FloatDType::F16 => converted::<f16>(stored, bytes, shape),
        FloatDType::BF16 => converted::<bf16>(stored, bytes, shape),
        _ => Err(Fault::Dtype),
    }
}

/// The element width if no conversion is needed.
pub(crate) fn same(stored: &Stored, dtype: FloatDType) -> Option<usize> {
    match (stored, dtype) {
        (Stored::F32, FloatDType::F32) => Some(4),
        (Stored::F16, FloatDType::F16) | (Stored::Bf16, FloatDType::BF16) => Some(2),
        _ => None,
    }
}

/// Whether no element has all exponent bits set. Dtypes without such a pattern are finite.
pub(crate) fn all_finite(stored: &Stored, bytes: &[u8]) -> bool {
    let parts = bytes.par_chunks(CHUNK * 8);
    match stored {
        Stored::F32 => parts.all(|part| {
            let exponents = part.as_chunks::<4>().0.iter().map(|b| u32::from_le_bytes(*b) & 0x7f80_0000);
            !exponents.fold(false, |bad, e| bad | (e == 0x7f80_0000))
        }),
        Stored::F16 => parts.all(|part| half_finite(part, 0x7c00)),
        Stored::Bf16 => parts.all(|part| half_finite(part, 0x7f80)),
        _ => true,
    }
}

fn half_finite(part: &[u8], exponent: u16) -> bool {
    let exponents = part.as_chunks::<2>().0.iter().map(|b| u16::from_le_bytes(*b) & exponent);
    !exponents.fold(false, |bad, e| bad | (e == exponent))
}

/// Values of any float dtype in f32. A double beyond the range of f32 is refused as an overflow.
pub(crate) fn to_f32(stored: &Stored, bytes: &[u8], out: &mut [f32]) -> Result<(), Fault> {
    match stored {
        Stored::F32 => widen(bytes, out, f32::from_le_bytes),
        Stored::F16 => {
            widen(bytes, out, |b| f32::from(f16::from_le_bytes(b)));
        }
        Stored::Bf16 => widen(bytes, out, |b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)),
        Stored::F64 => {
            widen(bytes, out, |b| f64::from_le_bytes(b) as f32);
            let wide = bytes.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b));
            if wide.zip(&*out).any(|(wide, narrow)| wide.is_finite() && !narrow.is_finite()) {
                return Err(Fault::Overflow);
            }
        }
        Stored::Quantized(_) | Stored::Other(_) => return Err(Fault::Dtype),
    }
    let finite = !out.iter().fold(false, |bad, v| bad | !v.is_finite());
    if finite { Ok(()) } else { Err(Fault::NonFinite) }
}

fn widen<const N: usize>(bytes: &[u8], out: &mut [f32], value: impl Fn([u8; N]) -> f32) {
    for (out, bytes) in out.iter_mut().zip(bytes.as_chunks::<N>().0) {
        *out = value(*bytes);
    }
}

/// A dtype that f32 values can be narrowed to.
trait Narrow: Element + Default {
    /// `values` and `out` have the same length.
    fn narrow(values: &[f32], out: &mut [Self]) -> Result<(), Fault>;
}

impl Narrow for f32 {
    fn narrow(values: &[f32], out: &mut [Self]) -> Result<(), Fault> {
        out.copy_from_slice(values);
        Ok(())
    }
}

impl Narrow for f16 {
    fn narrow(values: &[f32], out: &mut [Self]) -> Result<(), Fault> {
        out.convert_from_f32_slice(values);
        if out.iter().all(|v| v.is_finite()) { Ok(()) } else { Err(Fault::Overflow) }
    }
}

impl Narrow for bf16 {
    fn narrow(values: &[f32], out: &mut [Self]) -> Result<(), Fault> {
        out.convert_from_f32_slice(values);
        if out.iter().all(|v| v.is_finite()) { Ok(()) } else { Err(Fault::Overflow) }
    }
}

fn converted<T: Narrow>(stored: &Stored, bytes: &[u8], shape: Vec<usize>) -> Result<TensorData, Fault> {
    let width = stored.size().ok_or(Fault::Dtype)?;
    let mut out = vec![T::default(); bytes.len() / width];
    out.par_chunks_mut(CHUNK).zip(bytes.par_chunks(CHUNK * width)).try_for_each(|(out, bytes)| {
        let mut values = [0f32; CHUNK];
        let values = &mut values[..out.len()];
        to_f32(stored, bytes, values)?;
        T::narrow(values, out)
    })?;
    Ok(TensorData::new(out, shape))
}

/// All values of a tensor in f32.
pub(crate) fn values(stored: &Stored, bytes: &[u8]) -> Result<Vec<f32>, Fault> {
    let width = stored.size().ok_or(Fault::Dtype)?;
    let mut out = vec![0f32; bytes.len() / width];
    let parts = out.par_chunks_mut(CHUNK).zip(bytes.par_chunks(CHUNK * width));
    parts.try_for_each(|(out, bytes)| to_f32(stored, bytes, out))?;
    Ok(out)
}

/// The name that error messages use for a target.
pub(crate) fn target_name(dtype: FloatDType) -> &'static str {
    match DType::from(dtype) {
        DType::F16 => "F16",
        DType::BF16 => "BF16",
        _ => "F32",
    }
}
