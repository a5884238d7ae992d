//! One view of every file format: named tensors with a shape, a dtype and raw little-endian bytes.

use std::{
    collections::BTreeMap,
    fmt,
    ops::{Deref, Range},
    path::{Path, PathBuf},
};

use crate::{
    ImportError, Quant,
    map::{MappedFile, MappedPart},
    packed::{self, Packed},
    safetensors, shards, torch,
};

/// How a tensor's elements are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// IEEE double.
    F64,
    /// IEEE single.
    F32,
    /// IEEE half.
    F16,
    /// The upper half of a single.
    Bf16,
    /// Codes of a weight in fewer bits, with scales of their own: [`TensorSource::packed`].
    Quantized(Quant),
    /// A dtype that no weight of ours has, by the file's name for it.
    Other(String),
}

impl Stored {
    /// Bytes of one element; `None` if unknown or not whole.
    pub fn size(&self) -> Option<usize> {
        Some(match self {
            Self::F64 => 8,
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::Quantized(_) => return None,
            Self::Other(name) => match name.as_str() {
                "I64" | "U64" | "C64" => 8,
                "I32" | "U32" => 4,
                "I16" | "U16" => 2,
                "I8" | "U8" | "BOOL" => 1,
                name if name.starts_with("F8_") => 1,
                _ => return None,
            },
        })
    }

    /// From the name that safetensors headers use.
    pub(crate) fn from_name(name: &str) -> Self {
        match name {
            "F64" => Self::F64,
            "F32" => Self::F32,
            "F16" => Self::F16,
            "BF16" => Self::Bf16,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F64 => "F64",
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::Quantized(Quant::Int8) => "INT8",
            Self::Quantized(Quant::Nf4) => "NF4",
            Self::Other(name) => name,
        })
    }
}

/// What is known of a tensor without touching its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// Element type in the file.
    pub dtype: Stored,
    /// Length of the contiguous tensor in bytes; of a quantized one, of codes and scales.
    pub bytes: usize,
}

/// Tensors by name. Nothing is read before [`Self::data`].
pub trait TensorSource: Send + Sync + fmt::Debug {
    /// The file that was opened; an index file stands for its shards.
    fn path(&self) -> &Path;
    /// All names, sorted.
    fn names(&self) -> Vec<&str>;
    /// Shape and dtype of a tensor.
    fn info(&self, name: &str) -> Option<&TensorInfo>;
    /// The files that the tensors lie in, and the index that names them if there is one.
    fn files(&self) -> Vec<&Path> {
        vec![self.path()]
    }
    /// The bytes of a tensor, row-major and little-endian, of a quantized one the codes; `None` if there is no such
    /// tensor.
    fn data(&self, name: &str) -> Option<TensorBytes>;
    /// A tensor that is held in fewer bits, with its scales.
    fn packed(&self, _name: &str) -> Option<&Packed> {
        None
    }
    /// Asks the system to have the tensors' bytes in memory when they are wanted; does nothing where none lie in files.
    fn read_ahead(&self) {}
}

/// A tensor's bytes, borrowed from a mapped file if they are contiguous there.
#[derive(Clone, Debug)]
pub struct TensorBytes {
    bytes: bytes::Bytes,
    mapped: Option<MappedPart>,
}

impl TensorBytes {
    /// Bytes that no file backs.
    pub fn owned(bytes: Vec<u8>) -> Self {
        Self { bytes: bytes.into(), mapped: None }
    }

    pub(crate) fn mapped(part: MappedPart) -> Self {
        Self { bytes: bytes::Bytes::from_owner(part.clone()), mapped: Some(part) }
    }

    /// Shared ownership of the bytes, without a copy.
    pub(crate) fn shared(&self) -> bytes::Bytes {
        self.bytes.clone()
    }

    /// Whether they lie in a mapped file.
    pub(crate) fn is_mapped(&self) -> bool {
        self.mapped.is_some()
    }

    /// Asks the system to have the bytes in memory when they are wanted, if they lie in a file.
    pub(crate) fn read_ahead(&self) {
        if let Some(part) = &self.mapped {
            part.read_ahead();
        }
    }

    /// Says that the bytes are not needed soon, so that they stop counting as resident memory.
    pub fn release(&self) {
        if let Some(part) = &self.mapped {
            part.release();
        }
    }
}

impl Deref for TensorBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The tensors of one file, or of the shards of one index.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    files: Vec<MappedFile>,
    tensors: BTreeMap<String, Entry>,
    packed: BTreeMap<String, Packed>,
}

/// Where a tensor lies. `range` is inside the file, and `strides` (in elements) stay inside `range`.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) info: TensorInfo,
    pub(crate) file: usize,
    pub(crate) range: Range<usize>,
    pub(crate) strides: Option<Vec<usize>>,
}

impl TensorFile {
    pub(crate) fn new(path: &Path, files: Vec<MappedFile>, tensors: BTreeMap<String, Entry>) -> Self {
        Self { path: path.to_owned(), files, tensors, packed: BTreeMap::new() }
    }

    /// Takes the tensor `name` for a weight in fewer bits, of which `parts` are the scales.
    pub(crate) fn pack(&mut self, name: &str, parts: &[String], packed: Packed) {
        let scales = parts.iter().filter_map(|part| self.tensors.remove(part));
        let bytes: usize = scales.map(|entry| entry.info.bytes).sum();
        if let Some(entry) = self.tensors.get_mut(name) {
            let (shape, dtype) = (packed.shape().to_vec(), Stored::Quantized(packed.quant()));
            entry.info = TensorInfo { shape, dtype, bytes: entry.info.bytes + bytes };
        }
        self.packed.insert(name.to_owned(), packed);
    }

    pub(crate) fn into_parts(self) -> (Vec<MappedFile>, BTreeMap<String, Entry>) {
        (self.files, self.tensors)
    }
}

impl TensorSource for TensorFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn files(&self) -> Vec<&Path> {
        let index =
            Some(self.path.as_path()).filter(|path| self.files.iter().all(|file| file.path() != *path));
        index.into_iter().chain(self.files.iter().map(MappedFile::path)).collect()
    }

    fn names(&self) -> Vec<&str> {
        self.tensors.keys().map(String::as_str).collect()
    }

    fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.get(name).map(|entry| &entry.info)
    }

    fn packed(&self, name: &str) -> Option<&Packed> {
        self.packed.get(name)
    }

    fn data(&self, name: &str) -> Option<TensorBytes> {
        if let Some(packed) = self.packed.get(name) {
            return Some(packed.codes().clone());
        }
        let entry = self.tensors.get(name)?;
        let part = self.files[entry.file].part(entry.range.clone());
        Some(match &entry.strides {
            None => TensorBytes::mapped(part),
            Some(strides) => {
                let size = entry.info.dtype.size()?;
                TensorBytes::owned(gather(part.as_ref(), &entry.info.shape, strides, size))
            }
        })
    }

    fn read_ahead(&self) {
        let mut parts: Vec<_> = self.tensors.values().map(|entry| (entry.file, &entry.range)).collect();
        parts.sort_by_key(|(file, range)| (*file, range.start));
        parts.into_iter().for_each(|(file, range)| self.files[file].read_ahead(range));
    }
}

/// Row-major copy of a strided tensor whose first element is at the start of `bytes`.
fn gather(bytes: &[u8], shape: &[usize], strides: &[usize], size: usize) -> Vec<u8> {
    let count = shape.iter().product::<usize>();
    let mut out = Vec::with_capacity(count * size);
    let mut index = vec![0; shape.len()];
    for _ in 0..count {
        let at = size * index.iter().zip(strides).map(|(i, s)| i * s).sum::<usize>();
        out.extend_from_slice(&bytes[at..at + size]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    out
}

/// Opens a `.safetensors` file, a `.safetensors.index.json` with its shards, or a zip `.pth`, whichever the name or
/// else the first bytes say. Weights that bitsandbytes or a package holds in fewer bits appear as one tensor each.
///
/// # Errors
/// [`ImportError::Io`], [`ImportError::Quantized`], [`ImportError::Format`] for damaged files, [`ImportError::ForbiddenGlobal`] for pickles that
/// want to run code, and [`ImportError::UnsupportedFormat`].
pub fn open(path: &Path) -> Result<TensorFile, ImportError> {
    packed::recognise(open_plain(path)?)
}

fn open_plain(path: &Path) -> Result<TensorFile, ImportError> {
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json")) {
        return shards::open(path);
    }
    let file = MappedFile::open(path)?;
    let torch_name = path
        .extension()
        .is_some_and(|e| ["pth", "pt", "bin", "ckpt"].iter().any(|n| e.eq_ignore_ascii_case(n)));
    match file.bytes() {
        [b'G', b'G', b'U', b'F', ..] => {
            Err(ImportError::UnsupportedFormat { path: path.to_owned(), what: "GGUF" })
        }
        [b'P', b'K', ..] => torch::open(file),
        _ if torch_name => torch::open(file),
        _ => safetensors::open(file),
    }
}
