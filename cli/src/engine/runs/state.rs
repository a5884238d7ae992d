//! The file a run goes on from: its tensors as safetensors, all else as JSON in the file's metadata.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use burn::tensor::{DType, TensorData};
use safetensors::{Dtype, SafeTensors, View};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use wan_import::FileHash;
use wan_pipeline::Snapshot;

use super::{RunError, sync_folder};
use crate::{media::TemporaryFile, settings::Settings};

/// The file's name in a run's folder.
pub const FILE: &str = "state.safetensors";
/// The key of the JSON in the file's metadata.
const KEY: &str = "wan_state";
const OWN_VERSION: &str = env!("CARGO_PKG_VERSION");
/// Longest header of a safetensors file that is read, in bytes: far above that of any state.
const MAX_HEADER: u64 = 16 << 20;

/// Everything about a run but its tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    pub format: u32,
    /// Version of the program.
    pub version: String,
    /// When the run began and when this was written, RFC 3339.
    pub started: String,
    pub saved: String,
    /// Where the paths of the run begin.
    pub folder: PathBuf,
    /// With a model, a prompt and a seed.
    pub settings: Settings,
    /// Those that the video is to carry as given.
    pub given: Option<Settings>,
    pub output: PathBuf,
    pub overwrite: bool,
    pub dump: Option<PathBuf>,
    /// Whether the prompts and pictures are encoded. If not there are no tensors, and the run begins anew.
    #[serde(default = "yes")]
    pub encoded: bool,
    /// Steps that are done, and all of them.
    pub step: usize,
    pub steps: usize,
    pub width: usize,
    pub height: usize,
    pub frames: usize,
    pub device: String,
    pub driver: String,
    pub dtype: String,
    /// How the decoder works, for what it remembers is of use to no other.
    pub decoder: String,
    /// Checksum of everything that was settled when the run began.
    pub plan: String,
    pub weights: Vec<FileHash>,
    pub inputs: Vec<Input>,
    /// Checksum of the tensors.
    pub sha256: String,
}

/// For states of before there were others.
fn yes() -> bool {
    true
}

/// A file that a run reads besides its model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Input {
    pub path: PathBuf,
    pub hash: String,
}

/// Writes a state in place of the one that is there, or leaves that as it is. Returns the bytes written.
///
/// # Errors
/// [`RunError::Write`].
pub fn write(path: &Path, mut header: Header, snapshot: &Snapshot) -> Result<u64, RunError> {
    header.sha256 = checksum(&snapshot.tensors);
    let failed = |source| RunError::write(path, source);
    let text = serde_json::to_string(&header).map_err(|error| failed(error.into()))?;
    let metadata = HashMap::from([(KEY.to_owned(), text)]);
    let file = TemporaryFile::new(path, true)?;
    let views = snapshot.tensors.iter().map(|(name, data)| (name.as_str(), Stored(Cow::Borrowed(data))));
    serialize(views, Some(metadata), &file)?;
    let bytes = file.file().metadata().map_err(failed)?.len();
    file.persist()?;
    sync_folder(path.parent().unwrap_or(path));
    Ok(bytes)
}

/// Writes tensors one by one.
pub(super) fn serialize<'a, V: View>(
    tensors: impl Iterator<Item = (&'a str, V)>,
    metadata: Option<HashMap<String, String>>,
    file: &TemporaryFile,
) -> Result<(), RunError> {
    use safetensors::SafeTensorError::IoError;
    safetensors::serialize_to_file(tensors, metadata, file.path()).map_err(|error| {
        let source = if let IoError(error) = error { error } else { std::io::Error::other(error) };
        RunError::from(file.error(source))
    })
}

/// A tensor on the host as safetensors takes it.
pub(super) struct Stored<'a>(pub Cow<'a, TensorData>);

impl View for Stored<'_> {
    fn dtype(&self) -> Dtype {
        stored_dtype(self.0.dtype())
    }

    fn shape(&self) -> &[usize] {
        self.0.shape().as_slice()
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(self.0.as_bytes())
    }

    fn data_len(&self) -> usize {
        self.0.as_bytes().len()
    }
}

/// Everything of a run is in f32, or in f16 where the decoder keeps that.
pub(super) fn stored_dtype(dtype: DType) -> Dtype {
    match dtype {
        DType::F16 => Dtype::F16,
        DType::BF16 => Dtype::BF16,
        DType::F64 => Dtype::F64,
        _ => Dtype::F32,
    }
}

/// The other way round, of bytes of a file.
pub(super) fn tensor_data(view: &safetensors::tensor::TensorView<'_>) -> Option<TensorData> {
    let dtype = match view.dtype() {
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        Dtype::F64 => DType::F64,
        Dtype::F32 => DType::F32,
        _ => return None,
    };
    TensorData::try_from_bytes_vec(view.data().to_vec(), view.shape().to_vec(), dtype).ok()
}

/// Of names, shapes and bytes.
fn checksum(tensors: &BTreeMap<String, TensorData>) -> String {
    let mut hasher = Sha256::new();
    for (name, data) in tensors {
        hasher.update(format!("{name} {:?} {:?}\n", data.dtype(), data.shape().as_slice()));
        hasher.update(data.as_bytes());
    }
    format!("{:x}", hasher.finalize())
}

/// What a state's file says of its run, without its tensors.
///
/// # Errors
/// [`RunError::Read`], [`RunError::Damaged`], [`RunError::Version`].
pub fn read_header(path: &Path) -> Result<Header, RunError> {
    let io = |source| RunError::read(path, source);
    let mut file = File::open(path).map_err(io)?;
    let (mut length, whole) = ([0; 8], file.metadata().map_err(io)?.len());
    file.read_exact(&mut length).map_err(|_| RunError::damaged(path, "it is too short"))?;
    let header = u64::from_le_bytes(length);
    if header > MAX_HEADER.min(whole.saturating_sub(8)) {
        return Err(RunError::damaged(path, "its header does not end"));
    }
    let mut bytes = length.to_vec();
    file.take(header).read_to_end(&mut bytes).map_err(io)?;
    header_of(path, bytes.get(8..).unwrap_or_default())
}

/// From a safetensors header.
fn header_of(path: &Path, header: &[u8]) -> Result<Header, RunError> {
    #[derive(Deserialize)]
    struct Metadata {
        #[serde(rename = "__metadata__", default)]
        entries: HashMap<String, String>,
    }
    #[derive(Deserialize)]
    struct Format {
        format: u32,
        version: String,
    }
    let broken = |error| RunError::damaged(path, error);
    let Metadata { entries } = serde_json::from_slice(header).map_err(broken)?;
    let text = entries.get(KEY).ok_or_else(|| RunError::damaged(path, "it says nothing of a run"))?;
    let Format { format, version } = serde_json::from_str(text).map_err(broken)?;
    if format != Header::FORMAT {
        let (found, known) = (format!("format {format}"), Header::FORMAT.to_string());
        return Err(RunError::Version { path: path.to_owned(), found, known });
    }
    serde_json::from_str(text).map_err(|error| {
        if version == OWN_VERSION {
            return broken(error);
        }
        let known = format!("those of wan {OWN_VERSION} ({error})");
        RunError::Version { path: path.to_owned(), found: format!("wan {version}"), known }
    })
}

/// A whole state.
///
/// # Errors
/// As [`read_header`].
pub fn read(path: &Path) -> Result<(Header, Snapshot), RunError> {
    let header = read_header(path)?;
    let bytes = fs::read(path).map_err(|source| RunError::read(path, source))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| RunError::damaged(path, error))?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter() {
        let data = tensor_data(&view);
        let data = data.ok_or_else(|| RunError::damaged(path, format!("{name} is of no known dtype")))?;
        tensors.insert(name.to_owned(), data);
    }
    if checksum(&tensors) != header.sha256 {
        return Err(RunError::damaged(path, "its checksum is not that of what was written"));
    }
    let step = header.step;
    Ok((header, Snapshot { step, tensors }))
}

impl Header {
    /// Version of the format that is written, the only one that is read.
    pub const FORMAT: u32 = 1;
}
