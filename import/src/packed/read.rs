//! Which tensors of a file are a weight in fewer bits, by the names that bitsandbytes and packages give them.
//!
//! Names and states after <https://github.com/bitsandbytes-foundation/bitsandbytes>, `functional.py` (`QuantState`) and
//! `nn/modules.py` (`Linear8bitLt`), commit 0083b2b51a38eb6c345a80071d9d42993339bd94.

use std::collections::BTreeSet;

use serde::Deserialize;
use wan_kernels::NF4;

use super::{DYNAMIC_MAP_LEN, Floats, Packed, PackedScales};
use crate::{ImportError, Stored, TensorBytes, TensorFile, TensorSource};

const NF4_STATE: &str = ".quant_state.bitsandbytes__nf4";
const ANY_STATE: &str = ".quant_state.bitsandbytes__";
/// Maxima of rows, beside the weight and not behind it.
const ROW_MAXIMA: &str = ".SCB";
const BLOCK_SCALES: &str = ".weight.scales";
/// Largest description of a weight that is read, in bytes.
const MAX_STATE: usize = 1 << 16;
/// How far the code book may be from the published one.
const BOOK_TOLERANCE: f32 = 1e-6;
/// The largest code of eight bits.
const MOST: f32 = 127.0;

/// Puts every weight in fewer bits together with its scales, which are no tensors of their own then.
pub(crate) fn recognise(mut file: TensorFile) -> Result<TensorFile, ImportError> {
    let marks: Vec<Mark> = file.names().into_iter().filter_map(|name| Mark::of(name, &file)).collect();
    let mut seen = BTreeSet::new();
    for mark in marks {
        let fault = |detail: String| {
            let (path, key) = (file.path().to_owned(), mark.weight.clone());
            ImportError::Quantized { path, key, detail }
        };
        if !seen.insert(mark.weight.clone()) {
            return Err(fault("it has scales of two kinds".into()));
        }
        let packed = mark.read(&file).map_err(fault)?;
        file.pack(&mark.weight, &mark.parts(), packed);
    }
    Ok(file)
}

/// A weight in fewer bits, as one of its tensors gives it away.
struct Mark {
    /// The weight's name.
    weight: String,
    form: Form,
}

enum Form {
    Nf4,
    Rows,
    Blocks,
    Unknown(String),
}

impl Mark {
    fn of(name: &str, file: &TensorFile) -> Option<Self> {
        let mark = |weight: String, form| Some(Self { weight, form });
        if let Some(weight) = name.strip_suffix(NF4_STATE) {
            return mark(weight.to_owned(), Form::Nf4);
        }
        if let Some((weight, kind)) = name.split_once(ANY_STATE) {
            return mark(weight.to_owned(), Form::Unknown(format!("{kind} of bitsandbytes")));
        }
        let int8 = |weight: &str| file.info(weight).is_some_and(|info| info.dtype == other("I8"));
        if let Some(stem) = name.strip_suffix(BLOCK_SCALES) {
            return Some(format!("{stem}.weight")).filter(|w| int8(w)).and_then(|w| mark(w, Form::Blocks));
        }
        let weight = name.strip_suffix(ROW_MAXIMA).map(|stem| format!("{stem}.weight"));
        weight.filter(|w| int8(w)).and_then(|w| mark(w, Form::Rows))
    }

    /// Names of the tensors beside the codes; not every form has all of them.
    fn parts(&self) -> Vec<String> {
        let (weight, stem) = (&self.weight, self.stem());
        match self.form {
            Form::Nf4 => ["absmax", "quant_map", "nested_absmax", "nested_quant_map"]
                .map(|part| format!("{weight}.{part}"))
                .into_iter()
                .chain([format!("{weight}{NF4_STATE}")])
                .collect(),
            Form::Rows => vec![format!("{stem}{ROW_MAXIMA}"), format!("{stem}.weight_format")],
            Form::Blocks => vec![format!("{stem}{BLOCK_SCALES}")],
            Form::Unknown(_) => Vec::new(),
        }
    }

    fn stem(&self) -> &str {
        self.weight.strip_suffix(".weight").unwrap_or(&self.weight)
    }

    fn read(&self, file: &TensorFile) -> Result<Packed, String> {
        match &self.form {
            Form::Nf4 => nf4(file, &self.weight),
            Form::Rows => self.rows(file),
            Form::Blocks => self.blocks(file),
            Form::Unknown(what) => Err(what.clone()),
        }
    }

    /// LLM.int8: a row's largest absolute value is 127.
    fn rows(&self, file: &TensorFile) -> Result<Packed, String> {
        let format = format!("{}.weight_format", self.stem());
        // Others are orders of the codes in which certain graphics cards read them.
        if file.data(&format).is_some_and(|format| format.iter().any(|&byte| byte != 0)) {
            return Err(format!("{format} is not that of rows"));
        }
        let ([n, k], codes) = self.codes(file)?;
        let scales = floats(file, &format!("{}{ROW_MAXIMA}", self.stem()), n)?;
        Ok(Packed { shape: [n, k], codes, block: k, scales: PackedScales::Int8 { scales, divisor: MOST } })
    }

    /// A scale for each of some blocks of a row.
    fn blocks(&self, file: &TensorFile) -> Result<Packed, String> {
        let name = format!("{}{BLOCK_SCALES}", self.stem());
        let ([n, k], codes) = self.codes(file)?;
        let found = file.info(&name).map(|info| info.shape.as_slice());
        let Some(&[rows, blocks]) = found else { return Err(format!("{name} is no matrix")) };
        let block = k.checked_div(blocks).unwrap_or(0);
        if rows != n || block == 0 || block * blocks != k {
            return Err(format!("scales of [{rows}, {blocks}] for [{n}, {k}]"));
        }
        let scales = floats(file, &name, rows * blocks)?;
        Ok(Packed { shape: [n, k], codes, block, scales: PackedScales::Int8 { scales, divisor: 1.0 } })
    }

    fn codes(&self, file: &TensorFile) -> Result<([usize; 2], TensorBytes), String> {
        let found = file.info(&self.weight).zip(file.data(&self.weight));
        let (info, bytes) = found.ok_or("it is missing")?;
        match info.shape.as_slice() {
            &[n, k] if n > 0 && k > 0 => Ok(([n, k], bytes)),
            shape => Err(format!("{shape:?} is no matrix")),
        }
    }
}

fn other(name: &str) -> Stored {
    Stored::Other(name.into())
}

/// What bitsandbytes writes about a weight, as far as it matters here.
#[derive(Deserialize)]
struct State {
    quant_type: String,
    blocksize: usize,
    shape: Vec<usize>,
    nested_blocksize: Option<usize>,
    nested_offset: Option<f64>,
}

impl State {
    fn read(file: &TensorFile, name: &str) -> Result<Self, String> {
        let bytes =
            file.data(name).filter(|bytes| bytes.len() <= MAX_STATE).ok_or("its state is too large")?;
        let state: Self = serde_json::from_slice(&bytes).map_err(|error| format!("its state: {error}"))?;
        let sound = state.quant_type == "nf4" && state.blocksize > 0 && state.nested_blocksize != Some(0);
        if sound { Ok(state) } else { Err(format!("{} in blocks of {}", state.quant_type, state.blocksize)) }
    }
}

fn nf4(file: &TensorFile, weight: &str) -> Result<Packed, String> {
    let state = State::read(file, &format!("{weight}{NF4_STATE}"))?;
    let &[n, k] = state.shape.as_slice() else { return Err(format!("{:?} is no matrix", state.shape)) };
    let count = n.checked_mul(k).filter(|&count| count > 0).ok_or("its shape is too large, or empty")?;
    let codes = bytes(file, weight, count.div_ceil(2))?;
    check_book(&floats(file, &format!("{weight}.quant_map"), NF4.len())?)?;
    let (blocks, absmax) = (count.div_ceil(state.blocksize), format!("{weight}.absmax"));
    let nested = file.info(&absmax).is_some_and(|info| info.dtype == other("U8"));
    let scales = if nested {
        let (Some(block), Some(offset)) = (state.nested_blocksize, state.nested_offset) else {
            return Err("its state has no nested_blocksize and nested_offset".into());
        };
        let nested = |part: &str, count| floats(file, &format!("{weight}.nested_{part}"), count);
        PackedScales::Nested {
            codes: bytes(file, &absmax, blocks)?,
            absmax: nested("absmax", blocks.div_ceil(block))?,
            map: nested("quant_map", DYNAMIC_MAP_LEN)?,
            offset: Some(offset as f32).filter(|offset| offset.is_finite()).ok_or("an infinite offset")?,
            block,
        }
    } else {
        PackedScales::Nf4(floats(file, &absmax, blocks)?)
    };
    Ok(Packed { shape: [n, k], codes, block: state.blocksize, scales })
}

/// The values of the 16 codes are a constant of the products.
fn check_book(map: &Floats) -> Result<(), String> {
    let values = map.values().map_err(|_| "a code book that is not finite")?;
    let near = values.iter().zip(NF4).all(|(value, published)| (value - published).abs() <= BOOK_TOLERANCE);
    if near { Ok(()) } else { Err("a code book that is not that of nf4".into()) }
}

/// `count` floats of any dtype.
fn floats(file: &TensorFile, name: &str, count: usize) -> Result<Floats, String> {
    let found = file.info(name).zip(file.data(name));
    let (info, bytes) = found.ok_or_else(|| format!("{name} is missing"))?;
    let float = !matches!(info.dtype, Stored::Other(_) | Stored::Quantized(_));
    let size = info.dtype.size().unwrap_or(0);
    if !float || count.checked_mul(size) != Some(bytes.len()) {
        let (dtype, shape) = (&info.dtype, &info.shape);
        return Err(format!("{name} is {shape:?} of {dtype}, {count} floats are needed"));
    }
    Ok(Floats { bytes, stored: info.dtype.clone() })
}

/// `count` bytes.
fn bytes(file: &TensorFile, name: &str, count: usize) -> Result<TensorBytes, String> {
    let found = file.info(name).zip(file.data(name));
    let (info, bytes) = found.ok_or_else(|| format!("{name} is missing"))?;
    if info.dtype != other("U8") || bytes.len() != count {
        let (dtype, shape) = (&info.dtype, &info.shape);
        return Err(format!("{name} is {shape:?} of {dtype}, {count} bytes are needed"));
    }
    Ok(bytes)
}
