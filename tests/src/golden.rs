//! Golden tensors: one safetensors file per script in `tests/reference/`.

use std::{collections::BTreeMap, path::PathBuf};

use burn::prelude::*;
use safetensors::{Dtype, SafeTensors};

/// The f32 and i64 tensors of `tests/goldens/<name>.safetensors`, and the string metadata beside them.
pub struct Golden {
    name: String,
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    metadata: BTreeMap<String, String>,
}

impl Golden {
    /// Path of a file under `tests/goldens/`.
    pub fn path(file: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("goldens").join(file)
    }

    /// Loads `tests/goldens/<name>.safetensors`; panics with the path if it is missing or broken.
    pub fn load(name: &str) -> Self {
        let path = Self::path(&format!("{name}.safetensors"));
        let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let (_, header) = SafeTensors::read_metadata(&bytes).expect("golden header");
        let metadata = header.metadata().clone().unwrap_or_default().into_iter().collect();
        let file = SafeTensors::deserialize(&bytes).expect("golden file");
        let tensors = file
            .iter()
            .map(|(key, view)| (key.to_owned(), (view.shape().to_vec(), to_f32(view.dtype(), view.data()))))
            .collect();
        Self { name: name.to_owned(), tensors, metadata }
    }

    /// Shape and values of a tensor.
    pub fn get(&self, key: &str) -> (&[usize], &[f32]) {
        let (shape, values) =
            self.tensors.get(key).unwrap_or_else(|| panic!("golden {}: no tensor {key}", self.name));
        (shape, values)
    }

    /// A tensor on `device`.
    pub fn tensor<const D: usize>(&self, key: &str, device: &Device) -> Tensor<D> {
        let (shape, values) = self.get(key);
        Tensor::from_data(TensorData::new(values.to_vec(), shape.to_vec()), device)
    }

    /// A metadata string.
    pub fn text(&self, key: &str) -> &str {
        self.metadata.get(key).unwrap_or_else(|| panic!("golden {}: no metadata {key}", self.name))
    }

    /// All keys that start with `prefix`, without it.
    pub fn keys<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        self.tensors.keys().filter_map(move |key| key.strip_prefix(prefix))
    }
}

fn to_f32(dtype: Dtype, bytes: &[u8]) -> Vec<f32> {
    match dtype {
        Dtype::F32 => bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        Dtype::I64 => bytes
            .chunks_exact(8)
            .map(|b| i64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32)
            .collect(),
        other => panic!("golden tensors are f32 or i64, not {other:?}"),
    }
}
