//! A weight in fewer bits as the tensors of a file.

use half::f16;
use serde_json::json;
use wan_kernels::{DYNAMIC_MAP_LEN, Int8Weight, NF4, NF4_BLOCK, Nf4Weight, dynamic_map};

use super::layout::Piece;
use crate::{INT8_BLOCK, Quant, packed::NESTED_BLOCK, quant::Weight};

/// Bytes of the description of a weight in four bits, filled up with spaces: its length is known before its values.
const STATE: usize = 256;

/// The tensors of the weight `key`, `[n, k]`, in the order of [`Weight::bytes`].
pub(super) fn pieces(quant: Quant, key: &str, [n, k]: [usize; 2]) -> Vec<Piece> {
    let piece = |name: &str, dtype: &str, shape: &[usize], size: usize| Piece {
        name: format!("{key}{name}"),
        dtype: dtype.to_owned(),
        shape: shape.to_vec(),
        bytes: size * shape.iter().product::<usize>(),
        offset: 0,
    };
    let maxima = n * k / NF4_BLOCK;
    match quant {
        Quant::Int8 => {
            vec![piece("", "I8", &[n, k], 1), piece(".scales", "F16", &[n, k / INT8_BLOCK], 2)]
        }
        Quant::Nf4 => vec![
            piece("", "U8", &[n * k / 2, 1], 1),
            piece(".absmax", "U8", &[maxima], 1),
            piece(".nested_absmax", "F32", &[maxima.div_ceil(NESTED_BLOCK)], 4),
            piece(".nested_quant_map", "F32", &[DYNAMIC_MAP_LEN], 4),
            piece(".quant_map", "F32", &[NF4.len()], 4),
            piece(".quant_state.bitsandbytes__nf4", "U8", &[STATE], 1),
        ],
    }
}

impl Weight {
    /// Whether every scale is a number.
    pub fn is_finite(&self) -> bool {
        match self {
            Self::Int8(_, scales) => scales.iter().all(|scale| scale.is_finite()),
            Self::Nf4(_, maxima) => maxima.offset.is_finite() && maxima.absmax.iter().all(|x| x.is_finite()),
        }
    }

    /// Relative L2 distance from `values`, which it was made of.
    pub fn error(&self, values: &[f32]) -> f64 {
        let stored = match self {
            Self::Int8(weight, scales) => {
                let scales = scales.iter().map(|scale| scale.to_f32()).collect();
                Int8Weight { scales, ..weight.clone() }.dequantize()
            }
            Self::Nf4(weight, maxima) => {
                Nf4Weight { absmax: maxima.dequantize(), ..weight.clone() }.dequantize()
            }
        };
        let square = |x: f32| f64::from(x).powi(2);
        let distance: f64 = stored.iter().zip(values).map(|(stored, value)| square(stored - value)).sum();
        let norm: f64 = values.iter().map(|&value| square(value)).sum();
        if norm > 0.0 { (distance / norm).sqrt() } else { 0.0 }
    }

    /// What the tensors of [`pieces`] hold.
    pub fn bytes(self) -> Vec<Vec<u8>> {
        match self {
            Self::Int8(weight, scales) => vec![
                weight.bytes.into_iter().map(|code| code as u8).collect(),
                scales.into_iter().flat_map(f16::to_le_bytes).collect(),
            ],
            Self::Nf4(weight, maxima) => {
                let state = state([weight.n, weight.k], maxima.offset);
                vec![
                    weight.packed,
                    maxima.codes,
                    floats(&maxima.absmax),
                    floats(&dynamic_map()),
                    floats(&NF4),
                    state,
                ]
            }
        }
    }
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// As bitsandbytes describes a weight; readers of JSON pass over the spaces.
fn state(shape: [usize; 2], offset: f32) -> Vec<u8> {
    let state = json!({
        "quant_type": "nf4",
        "blocksize": NF4_BLOCK,
        "dtype": "float32",
        "shape": shape,
        "nested_blocksize": NESTED_BLOCK,
        "nested_dtype": "float32",
        "nested_offset": offset,
    });
    let mut state = state.to_string().into_bytes();
    state.resize(STATE.max(state.len()), b' ');
    state
}
