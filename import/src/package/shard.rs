//! One file of a package, written tensor by tensor.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Seek, SeekFrom, Write},
    ops::ControlFlow,
    path::Path,
};

use burn::tensor::FloatDType;
use crc32fast::Hasher;

use super::layout::{Form, Item, Piece, Shard};
use crate::{
    ImportError, Quant, Stored, TensorBytes, TensorSource,
    convert::{self, Fault},
    quant::Weight,
};

/// Elements that are converted and written at once.
const CHUNK: usize = 1 << 22;

/// What was written.
pub(super) struct Written {
    pub checksum: u32,
    /// Relative L2 error by key, if asked for.
    pub errors: BTreeMap<String, f64>,
}

/// Writes `shard` to `file`, which lies at `path`. `tick` gets the source's bytes as they are dealt with.
pub(super) fn write(
    shard: &Shard,
    source: &dyn TensorSource,
    report: bool,
    (file, path): (&mut File, &Path),
    tick: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Result<Written, ImportError> {
    let mut writer = Writer { file, path, source, report, sums: Vec::new(), errors: BTreeMap::new(), tick };
    writer.put(0, &shard.header)?;
    shard.items.iter().try_for_each(|item| writer.item(item))?;
    Ok(writer.finish())
}

struct Writer<'a> {
    file: &'a mut File,
    path: &'a Path,
    source: &'a dyn TensorSource,
    report: bool,
    /// Of the parts written, with their places.
    sums: Vec<(usize, Hasher)>,
    errors: BTreeMap<String, f64>,
    tick: &'a mut dyn FnMut(usize) -> ControlFlow<()>,
}

impl Writer<'_> {
    fn item(&mut self, item: &Item) -> Result<(), ImportError> {
        let found = self.source.info(&item.key).zip(self.source.data(&item.key));
        let (Some((info, bytes)), [first, ..]) = (found, item.pieces.as_slice()) else { return Ok(()) };
        match item.form {
            Form::Quantized(quant) => self.quantized(item, quant, &info.dtype, &bytes)?,
            Form::Same => self.plain(first, &item.key, &info.dtype, None, &bytes)?,
            Form::Float(dtype) => self.plain(first, &item.key, &info.dtype, Some(dtype), &bytes)?,
        }
        Ok(())
    }

    /// By parts, converted to `target` if there is one.
    fn plain(
        &mut self,
        piece: &Piece,
        key: &str,
        stored: &Stored,
        target: Option<FloatDType>,
        bytes: &TensorBytes,
    ) -> Result<(), ImportError> {
        let size = stored.size().unwrap_or(1);
        let mut offset = piece.offset;
        for part in bytes.chunks(CHUNK * size) {
            let fault =
                |fault: Fault, target| fault.of(self.source.path(), key, convert::target_name(target));
            offset += match target {
                Some(target) if convert::same(stored, target).is_none() => {
                    let data = convert::copied(part, stored, target, vec![part.len() / size]);
                    let data = data.map_err(|f| fault(f, target))?;
                    self.put(offset, data.as_bytes())?
                }
                Some(target) if !convert::all_finite(stored, part) => {
                    return Err(fault(Fault::NonFinite, target));
                }
                _ => self.put(offset, part)?,
            };
            // Written pages of a large tensor would count until its end.
            bytes.release();
            self.tell(part.len())?;
        }
        Ok(())
    }

    fn quantized(
        &mut self,
        item: &Item,
        quant: Quant,
        stored: &Stored,
        bytes: &TensorBytes,
    ) -> Result<(), ImportError> {
        let (path, key) = (self.source.path(), item.key.as_str());
        let fault = |fault: Fault| fault.of(path, key, quant.name());
        let Some(&[n, k]) = self.source.info(key).map(|info| info.shape.as_slice()) else { return Ok(()) };
        let values = convert::values(stored, bytes).map_err(fault)?;
        bytes.release();
        let weight = Weight::of(quant, &values, [n, k]);
        let weight = weight.map_err(|error| ImportError::config(path, format!("{key}: {error}")))?;
        if !weight.is_finite() {
            return Err(fault(Fault::Overflow));
        }
        if self.report {
            self.errors.insert(key.to_owned(), weight.error(&values));
        }
        drop(values);
        for (piece, bytes) in item.pieces.iter().zip(weight.bytes()) {
            self.put(piece.offset, &bytes)?;
        }
        self.tell(bytes.len())
    }

    /// Writes `bytes` at `offset` and says how many they are.
    fn put(&mut self, offset: usize, bytes: &[u8]) -> Result<usize, ImportError> {
        let place = self.file.seek(SeekFrom::Start(offset as u64));
        let written = place.and_then(|_| self.file.write_all(bytes));
        written.map_err(|source| ImportError::Write { path: self.path.to_owned(), source })?;
        let mut sum = Hasher::new();
        sum.update(bytes);
        self.sums.push((offset, sum));
        Ok(bytes.len())
    }

    fn tell(&mut self, bytes: usize) -> Result<(), ImportError> {
        if (self.tick)(bytes).is_break() { Err(ImportError::Interrupted) } else { Ok(()) }
    }

    fn finish(mut self) -> Written {
        self.sums.sort_by_key(|(offset, _)| *offset);
        let mut whole = Hasher::new();
        self.sums.iter().for_each(|(_, sum)| whole.combine(sum));
        Written { checksum: whole.finalize(), errors: self.errors }
    }
}
