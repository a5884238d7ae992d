//! The token embedding: 2 GB of rows of which a prompt needs some, so they stay in the file.

use std::{path::PathBuf, sync::Arc};

use crate::{
    ImportError, Naming, Stored, TensorBytes, TensorSource,
    convert::{self, Fault},
    keys,
};

/// Rows of the token embedding, read from the mapped file on demand.
#[derive(Debug)]
pub struct TokenTable {
    path: PathBuf,
    key: &'static str,
    bytes: TensorBytes,
    dtype: Stored,
    vocab: usize,
    width: usize,
}

impl TokenTable {
    /// Finds the embedding of a text encoder.
    ///
    /// # Errors
    /// [`ImportError::MissingTensors`] if it has none, [`ImportError::Shape`] if it is not a matrix, and
    /// [`ImportError::Dtype`].
    pub fn new(source: &Arc<dyn TensorSource>, naming: Naming) -> Result<Self, ImportError> {
        let names = keys::token_keys(naming);
        let path = source.path().to_owned();
        let found = names.iter().find_map(|&key| Some((key, source.info(key)?, source.data(key)?)));
        let Some((key, info, bytes)) = found else {
            let first = vec![names.join(" or ")];
            return Err(ImportError::MissingTensors { path, count: 1, first });
        };
        if matches!(info.dtype, Stored::Other(_) | Stored::Quantized(_)) {
            return Err(ImportError::Dtype { path, key: key.into(), dtype: info.dtype.to_string() });
        }
        let &[vocab, width] = info.shape.as_slice() else {
            let found = info.shape.clone();
            return Err(ImportError::Shape { path, key: key.into(), expected: vec![0, 0], found });
        };
        Ok(Self { path, key, bytes, dtype: info.dtype.clone(), vocab, width })
    }

    /// Rows of the table.
    pub fn vocab(&self) -> usize {
        self.vocab
    }

    /// Elements of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The rows of `ids` in f32, one after the other: `[ids, width]`.
    ///
    /// # Errors
    /// [`ImportError::TokenId`] for an id outside the vocabulary, [`ImportError::NonFinite`] for a damaged row.
    pub fn rows(&self, ids: &[u32]) -> Result<Vec<f32>, ImportError> {
        let mut rows = vec![0f32; ids.len() * self.width];
        if self.width == 0 {
            return Ok(rows);
        }
        let row_bytes = self.width * self.dtype.size().unwrap_or(0);
        for (&id, out) in ids.iter().zip(rows.chunks_exact_mut(self.width)) {
            let row = usize::try_from(id).ok().filter(|&row| row < self.vocab);
            let row = row.ok_or(ImportError::TokenId { id, vocab: self.vocab })?;
            let bytes = &self.bytes[row * row_bytes..(row + 1) * row_bytes];
            convert::to_f32(&self.dtype, bytes, out).map_err(|fault| self.fault(fault))?;
        }
        Ok(rows)
    }

    fn fault(&self, fault: Fault) -> ImportError {
        let (path, key) = (self.path.clone(), self.key.to_owned());
        match fault {
            Fault::Overflow => ImportError::Overflow { path, key, target: "F32" },
            Fault::NonFinite | Fault::Dtype => ImportError::NonFinite { path, key },
        }
    }
}
