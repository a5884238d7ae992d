//! PyTorch's zip format: a pickle that describes tensors, and one stored entry per storage.

use std::{collections::BTreeMap, io::Cursor, ops::Range};

use zip::{
    CompressionMethod, ZipArchive,
    read::{ArchiveOffset, Config},
};

use crate::{
    ImportError, Stored, TensorFile, TensorInfo,
    map::MappedFile,
    pickle::{self, Arena, Refusal, Storage, Tensor, Value},
    source::Entry,
};

const FORMAT: &str = "PyTorch";
/// Entries an archive may have: one per storage, and some of the writer's own.
const MAX_ENTRIES: u64 = 1 << 16;
/// Nested dicts that are looked into for the tensors.
const MAX_NESTING: usize = 4;

/// Reads the description of every tensor and maps the file.
pub(crate) fn open(file: MappedFile) -> Result<TensorFile, ImportError> {
    let path = file.path().to_owned();
    if !file.bytes().starts_with(b"PK\x03\x04") {
        let legacy = file.bytes().first() == Some(&0x80);
        let what = if legacy { "legacy (not zip) PyTorch" } else { "unknown (not zip) PyTorch" };
        return Err(ImportError::UnsupportedFormat { path, what });
    }
    let tensors = parse(file.bytes()).map_err(|refusal| match refusal {
        Refusal::Forbidden { module, name } => {
            ImportError::ForbiddenGlobal { path: path.clone(), module, name }
        }
        Refusal::Malformed(detail) => ImportError::format(&path, FORMAT, detail),
    })?;
    Ok(TensorFile::new(&path, vec![file], tensors))
}

fn parse(file: &[u8]) -> Result<BTreeMap<String, Entry>, Refusal> {
    let archive = Archive::read(file).map_err(Refusal::Malformed)?;
    let pickle = archive.entry("data.pkl").map_err(Refusal::Malformed)?;
    let (arena, root) = pickle::run(&file[pickle])?;
    tensors(&arena, root, &archive).map_err(Refusal::Malformed)
}

/// Where the entries of the archive lie, without the top folder that PyTorch names after the file.
struct Archive {
    root: String,
    entries: BTreeMap<String, Range<usize>>,
}

impl Archive {
    fn read(file: &[u8]) -> Result<Self, String> {
        check_directory(file)?;
        let config = Config { archive_offset: ArchiveOffset::Known(0) };
        let mut zip = ZipArchive::with_config(config, Cursor::new(file)).map_err(|e| e.to_string())?;
        let mut entries = BTreeMap::new();
        for index in 0..zip.len() {
            let entry = zip.by_index_raw(index).map_err(|e| e.to_string())?;
            let range = stored(&entry, file.len()).map_err(|e| format!("entry {}: {e}", entry.name()))?;
            entries.insert(entry.name().to_owned(), range);
        }
        let root = entries.keys().find_map(|name| name.strip_suffix("data.pkl"));
        let root = root.ok_or("the archive has no data.pkl")?.to_owned();
        let archive = Self { root, entries };
        match archive.entry("byteorder").map(|range| &file[range]) {
            Ok(b"big") => Err("the tensors are big-endian".into()),
            _ => Ok(archive),
        }
    }

    fn entry(&self, name: &str) -> Result<Range<usize>, String> {
        let range = self.entries.get(&format!("{}{name}", self.root)).cloned();
        range.ok_or_else(|| format!("the archive has no entry {name}"))
    }
}

fn stored<R: std::io::Read>(
    entry: &zip::read::ZipFile<'_, R>,
    length: usize,
) -> Result<Range<usize>, String> {
    if entry.compression() != CompressionMethod::Stored || entry.encrypted() {
        return Err("compressed or encrypted; PyTorch stores its tensors plainly".into());
    }
    let start = usize::try_from(entry.data_start()).ok();
    let end = start.zip(usize::try_from(entry.size()).ok()).and_then(|(start, size)| start.checked_add(size));
    match start.zip(end).filter(|&(_, end)| end <= length && entry.size() == entry.compressed_size()) {
        Some((start, end)) => Ok(start..end),
        None => Err("goes past the end of the file".into()),
    }
}

/// Refuses a missing end record, which the directory reader would seek through the whole file, and a count of entries
/// that it would allocate for before it reads them.
fn check_directory(file: &[u8]) -> Result<(), String> {
    // The end record takes 22 bytes and is followed by a comment of at most 65535.
    let tail = &file[file.len().saturating_sub(22 + 0xffff)..];
    let end = tail.windows(4).rposition(|w| w == b"PK\x05\x06").ok_or("no zip directory at its end")?;
    let mut count = tail.get(end + 10..end + 12).map_or(0, |b| u64::from(b[0]) | u64::from(b[1]) << 8);
    let field = |at: usize| file.get(at..at.checked_add(8)?)?.try_into().ok().map(u64::from_le_bytes);
    let end = file.len() - tail.len() + end;
    if let Some(locator) = end.checked_sub(20).filter(|&at| file[at..].starts_with(b"PK\x06\x07")) {
        let record = field(locator + 8).and_then(|at| usize::try_from(at).ok());
        let entries = record.and_then(|at| field(at.checked_add(32)?));
        count = count.max(entries.ok_or("the zip64 directory is outside the file")?);
    }
    if count > MAX_ENTRIES { Err(format!("{count} entries, over {MAX_ENTRIES}")) } else { Ok(()) }
}

/// The state dict: the root, or what it holds under one of the usual names.
fn tensors(arena: &Arena, root: Value, archive: &Archive) -> Result<BTreeMap<String, Entry>, String> {
    let mut value = root;
    for _ in 0..MAX_NESTING {
        let items = arena.dict(value).ok_or("the pickle is not a dict")?;
        if items.iter().any(|&(_, item)| arena.tensor(item).is_some()) {
            return entries(arena, items, archive);
        }
        let named = |name| items.iter().find(|&&(key, _)| arena.text(key) == Some(name));
        let inner = ["state_dict", "model_state_dict", "model", "module"].into_iter().find_map(named);
        value = inner.ok_or("the pickle holds no tensors")?.1;
    }
    Err(format!("no tensors within {MAX_NESTING} nested dicts"))
}

fn entries(
    arena: &Arena,
    items: &[(Value, Value)],
    archive: &Archive,
) -> Result<BTreeMap<String, Entry>, String> {
    let mut entries = BTreeMap::new();
    for &(key, value) in items {
        let Some(tensor) = arena.tensor(value) else { continue };
        let name = arena.text(key).ok_or("a tensor whose name is not text")?;
        let entry = entry(tensor, archive).map_err(|e| format!("{name}: {e}"))?;
        if entries.insert(name.to_owned(), entry).is_some() {
            return Err(format!("the key {name} appears twice"));
        }
    }
    Ok(entries)
}

fn entry(tensor: &Tensor, archive: &Archive) -> Result<Entry, String> {
    let dtype = dtype(&tensor.storage);
    let file = archive.entry(&format!("data/{}", tensor.storage.key))?;
    let Some(size) = dtype.size() else {
        // Listed, so that only a module that needs it fails.
        let info = TensorInfo { shape: tensor.shape.clone(), dtype, bytes: 0 };
        return Ok(Entry { info, file: 0, range: file.start..file.start, strides: None });
    };
    let available = (file.len() / size).min(tensor.storage.elements);
    let count = tensor.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    let count = count.filter(|&n| n <= available).ok_or("more elements than its storage")?;
    // The first and one past the last element that the view reaches.
    let span = if count == 0 { Some(0) } else { reach(tensor) };
    let end = span.and_then(|span| tensor.offset.checked_add(span));
    let end = end.filter(|&end| end <= available).ok_or("outside its storage")?;
    let range = file.start + tensor.offset.min(end) * size..file.start + end * size;
    let strides = (count > 0 && !is_contiguous(tensor)).then(|| tensor.strides.clone());
    let info = TensorInfo { shape: tensor.shape.clone(), dtype, bytes: count * size };
    Ok(Entry { info, file: 0, range, strides })
}

/// One past the largest element index of a view that is not empty, relative to its offset.
fn reach(tensor: &Tensor) -> Option<usize> {
    let steps = tensor.shape.iter().zip(&tensor.strides);
    steps
        .map(|(&n, &stride)| (n - 1).checked_mul(stride))
        .try_fold(1usize, |sum, step| sum.checked_add(step?))
}

fn is_contiguous(tensor: &Tensor) -> bool {
    let mut expected = 1;
    tensor.shape.iter().zip(&tensor.strides).rev().all(|(&n, &stride)| {
        let fits = n == 1 || stride == expected;
        // A wrapped product needs an empty dimension, and then no caller asks.
        expected = usize::wrapping_mul(expected, n);
        fits
    })
}

fn dtype(storage: &Storage) -> Stored {
    let name = match &*storage.class {
        "DoubleStorage" => "F64",
        "FloatStorage" => "F32",
        "HalfStorage" => "F16",
        "BFloat16Storage" => "BF16",
        "LongStorage" => "I64",
        "IntStorage" => "I32",
        "ShortStorage" => "I16",
        "CharStorage" => "I8",
        "ByteStorage" | "UntypedStorage" => "U8",
        "BoolStorage" => "BOOL",
        other => other,
    };
    Stored::from_name(name)
}
