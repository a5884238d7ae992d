//! Files and sources that the tests make up.
#![allow(dead_code, clippy::unwrap_used)]

pub mod clip;
pub mod model;
pub mod presets;
pub mod vae22;
pub mod wan;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use safetensors::{Dtype, tensor::TensorView};
use wan_import::{Stored, TensorBytes, TensorInfo, TensorSource};

/// Names and shapes without a file; every byte is zero.
#[derive(Debug, Default)]
pub struct Shapes(pub BTreeMap<String, TensorInfo>);

impl Shapes {
    pub fn add(&mut self, name: impl Into<String>, shape: &[usize]) {
        let bytes = 4 * shape.iter().product::<usize>();
        let info = TensorInfo { shape: shape.to_vec(), dtype: Stored::F32, bytes };
        assert!(self.0.insert(name.into(), info).is_none(), "a name is given twice");
    }

    pub fn elements(&self) -> usize {
        self.0.values().map(|info| info.shape.iter().product::<usize>()).sum()
    }

    /// The same tensors with other sizes.
    pub fn resized(mut self, size: impl Fn(usize) -> usize) -> Self {
        for info in self.0.values_mut() {
            info.shape.iter_mut().for_each(|n| *n = size(*n));
            info.bytes = 4 * info.shape.iter().product::<usize>();
        }
        self
    }

    /// The same shapes behind a prefix.
    pub fn prefixed(&self, prefix: &str) -> Self {
        Self(self.0.iter().map(|(name, info)| (format!("{prefix}{name}"), info.clone())).collect())
    }
}

impl TensorSource for Shapes {
    fn path(&self) -> &Path {
        Path::new("made-up")
    }

    fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.0.get(name)
    }

    fn data(&self, name: &str) -> Option<TensorBytes> {
        Some(TensorBytes::owned(vec![0; self.0.get(name)?.bytes]))
    }
}

/// A tensor for [`write`].
pub type Named<'a> = (&'a str, Dtype, Vec<usize>, Vec<u8>);

pub fn f32s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// Writes a safetensors file with the format's own writer.
pub fn write(path: &Path, tensors: &[Named]) -> PathBuf {
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        ((*name).to_owned(), TensorView::new(*dtype, shape.clone(), bytes).unwrap())
    });
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
    path.to_owned()
}

/// A safetensors file with any header.
pub fn raw(header: &str, data: &[u8]) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    file.extend_from_slice(data);
    file
}
