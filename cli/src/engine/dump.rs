//! Tensors of a run as safetensors files, and the noise file that comes back in.

use std::path::{Path, PathBuf};

use burn::tensor::TensorData;
use safetensors::{Dtype, SafeTensorError, tensor::TensorView};
use wan_import::{ImportError, Stored, TensorSource};
use wan_pipeline::{Event, FrameChunk, Noise};

use crate::media::{MediaError, TemporaryFile};

/// A dump that could not be written, or a noise file that is none.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    #[error(transparent)]
    Write(#[from] MediaError),
    #[error("{}: {detail}", path.display())]
    Noise { path: PathBuf, detail: String },
}

impl DumpError {
    /// The way out, where there is one.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Write(error) => error.hint(),
            Self::Noise { .. } => None,
        }
    }
}

/// One f32 tensor on the host.
struct Kept {
    name: String,
    shape: Vec<usize>,
    values: Vec<f32>,
}

/// Collects the tensors that `--dump` names.
pub struct Dump {
    folder: PathBuf,
    steps: Vec<Kept>,
    frames: Vec<f32>,
    width: usize,
}

impl Dump {
    /// Makes the folder, so that a wrong path is found before any work. `steps` are those of `total` that were done
    /// before.
    pub fn new(folder: &Path, steps: Vec<(String, TensorData)>, total: usize) -> Result<Self, DumpError> {
        let path = folder.to_owned();
        std::fs::create_dir_all(folder).map_err(|source| MediaError::Unwritable { path, source })?;
        let kept = |(name, data): (String, TensorData)| {
            let shape = data.shape().to_vec();
            Kept { name, shape, values: data.try_into_vec().unwrap_or_default() }
        };
        let steps: Vec<_> = steps.into_iter().map(kept).collect();
        let mut dump = Self { folder: folder.to_owned(), steps, frames: Vec::new(), width: 0 };
        // After the last step nothing comes that would write them.
        if dump.steps.len() == total { dump.latents().map(|()| dump) } else { Ok(dump) }
    }

    /// The latents of every step so far, as a state holds them.
    pub fn steps(&self) -> Vec<(String, TensorData)> {
        let steps = self.steps.iter().filter(|kept| kept.name.starts_with("step_"));
        let named = |kept: &Kept| {
            let data = TensorData::new(kept.values.clone(), kept.shape.clone());
            (format!("{}{}", super::keep::DUMPED, kept.name), data)
        };
        steps.map(named).collect()
    }

    pub fn frames(&mut self, chunk: &FrameChunk) {
        self.width = chunk.width;
        self.frames.extend_from_slice(&chunk.values);
    }

    pub fn take(&mut self, event: &Event<'_>) -> Result<(), DumpError> {
        match event {
            Event::Text { context, context_null, width } => self.text(context, *context_null, *width),
            Event::Step { step, .. } => {
                let (shape, name) = (step.latents.dims().to_vec(), format!("step_{:03}", step.index));
                let values = step.latents.to_data().convert::<f32>().try_into_vec().unwrap_or_default();
                self.steps.push(Kept { name, shape, values });
                if step.index + 1 == step.total { self.latents() } else { Ok(()) }
            }
            Event::Frames(chunk) => {
                self.frames(chunk);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Writes the frames, all of `height`.
    pub fn finish(self, height: usize) -> Result<(), DumpError> {
        let count = self.frames.len() / (height * self.width * 3).max(1);
        let shape = vec![count, height, self.width, 3];
        let (folder, values) = (self.folder, self.frames);
        write(&folder, "frames", &[Kept { name: "frames".into(), shape, values }])
    }

    fn text(&self, context: &[f32], null: Option<&[f32]>, width: usize) -> Result<(), DumpError> {
        let kept = |name: &str, rows: &[f32]| Kept {
            name: name.into(),
            shape: vec![rows.len() / width.max(1), width],
            values: rows.to_vec(),
        };
        let null = null.map(|rows| kept("context_null", rows));
        let all: Vec<_> = std::iter::once(kept("context", context)).chain(null).collect();
        write(&self.folder, "text", &all)
    }

    fn latents(&mut self) -> Result<(), DumpError> {
        let last = self.steps.last().map(|last| Kept {
            name: "latents".into(),
            shape: last.shape.clone(),
            values: last.values.clone(),
        });
        self.steps.extend(last);
        write(&self.folder, "latents", &self.steps)
    }
}

/// The f32 tensor `noise` of a safetensors file.
pub fn read_noise(path: &Path) -> Result<Noise, DumpError> {
    let refuse = |detail: String| DumpError::Noise { path: path.to_owned(), detail };
    let source = wan_import::open(path).map_err(|error: ImportError| refuse(error.to_string()))?;
    let found = source.info("noise").zip(source.data("noise"));
    let (info, bytes) = found.ok_or_else(|| refuse("there is no tensor `noise`".into()))?;
    if info.dtype != Stored::F32 {
        return Err(refuse(format!("`noise` is {}, not F32", info.dtype)));
    }
    let values = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    Ok(Noise { shape: info.shape.clone(), values })
}

/// Under a temporary name first: a dump is whole or not there.
fn write(folder: &Path, file: &str, tensors: &[Kept]) -> Result<(), DumpError> {
    let path = folder.join(format!("{file}.safetensors"));
    let temporary = TemporaryFile::new(&path, true)?;
    let failed = |e| {
        let full = if let SafeTensorError::IoError(e) = e { e } else { std::io::Error::other(e) };
        temporary.error(full)
    };
    let views: Result<Vec<_>, _> = tensors
        .iter()
        .map(|kept| {
            let bytes: &[u8] = bytemuck::cast_slice(&kept.values);
            Ok((kept.name.clone(), TensorView::new(Dtype::F32, kept.shape.clone(), bytes)?))
        })
        .collect();
    safetensors::serialize_to_file(views.map_err(failed)?, None, temporary.path()).map_err(failed)?;
    Ok(temporary.persist()?)
}
