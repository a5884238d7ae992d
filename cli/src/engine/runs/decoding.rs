//! Decoded frames as they come, and now and then what the decoder remembers: a stop loses what came since.

use std::{
    borrow::Cow,
    fs::{self, File},
    io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::Instant,
};

use burn::{
    prelude::*,
    tensor::{DType, TensorData},
};
use safetensors::{Dtype, View};
use serde::{Deserialize, Serialize};
use wan_pipeline::{DecoderStart, FrameChunk, LayerCounts, decoder_memory};

use super::{
    RunError, SaveEvery,
    keeper::{AUTO_SECONDS, SHARE},
    state, sync_folder,
};
use crate::media::TemporaryFile;

/// All frames so far, one after the other.
const FRAMES: &str = "frames.raw";
/// The last place to go on from; what it does not name does not count.
const POINT: &str = "decode.json";
/// Longest such file that is read, in bytes.
const MAX_POINT: u64 = 16 << 20;
/// Bytes a second of a first save of what the decoder remembers, which is gigabytes for large frames.
const PACE: f64 = 400e6;

/// Between two latent frames.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Point {
    /// Latent frames that are decoded.
    frame: usize,
    /// Frames of [`FRAMES`] that belong to them, and the bytes of each.
    frames: u64,
    frame_bytes: u64,
    /// Whether frames are f32, as a dump needs them, or bytes.
    floats: bool,
    layers: LayerCounts,
    /// Name, length and checksum of the file with the decoder's memory.
    file: String,
    bytes: u64,
    crc32: u32,
}

/// Frames on their way into a run's folder.
pub struct Decoding {
    folder: PathBuf,
    every: SaveEvery,
    floats: bool,
    frames: BufWriter<File>,
    count: u64,
    frame_bytes: u64,
    /// The latent frame of the last point, and its file.
    saved: Option<(usize, String)>,
    since: Instant,
    /// Seconds that the last save took for each byte.
    pace: f64,
}

impl Decoding {
    /// Begins, or goes on behind the frames that are there.
    pub fn new(
        folder: &Path,
        every: SaveEvery,
        floats: bool,
        decoded: Option<&Decoded>,
    ) -> Result<Self, RunError> {
        if decoded.is_none() {
            remove(folder);
        }
        let path = folder.join(FRAMES);
        let failed = |source| RunError::write(&path, source);
        let kept = decoded.map_or(0, |decoded| decoded.point.frames * decoded.point.frame_bytes);
        let open = File::options().create(true).truncate(false).write(true).open(&path);
        let mut file = open.map_err(failed)?;
        file.set_len(kept).and_then(|()| file.seek(SeekFrom::End(0))).map_err(failed)?;
        Ok(Self {
            folder: folder.to_owned(),
            every,
            floats,
            frames: BufWriter::new(file),
            count: decoded.map_or(0, |decoded| decoded.point.frames),
            frame_bytes: decoded.map_or(0, |decoded| decoded.point.frame_bytes),
            saved: decoded.map(|decoded| (decoded.point.frame, decoded.point.file.clone())),
            since: Instant::now(),
            pace: 1.0 / PACE,
        })
    }

    /// Appends frames.
    pub fn push(&mut self, chunk: &FrameChunk) -> Result<(), RunError> {
        let path = self.folder.join(FRAMES);
        let pixels = chunk.width * chunk.height * 3;
        let mut put = |bytes: &[u8]| {
            self.frame_bytes = bytes.len() as u64;
            self.count += 1;
            self.frames.write_all(bytes).map_err(|source| RunError::write(&path, source))
        };
        if self.floats {
            return chunk.values.chunks(pixels).try_for_each(|frame| put(bytemuck::cast_slice(frame)));
        }
        chunk.rgb8().try_for_each(|frame| put(&frame))
    }

    /// Keeps what the decoder remembers, if it is time to.
    pub fn pause(&mut self, stream: &wan_model::DecodeStream<'_>, last: bool) -> Result<(), RunError> {
        let frame = stream.frame();
        if frame == 0 || self.saved.as_ref().is_some_and(|(saved, _)| *saved == frame) {
            return Ok(());
        }
        let (layers, tensors) = decoder_memory(stream);
        let tensors: Vec<_> =
            tensors.into_iter().map(|(name, tensor)| (name, OnDevice::new(tensor))).collect();
        let bytes: usize = tensors.iter().map(|(_, tensor)| tensor.data_len()).sum();
        let due = match self.every {
            SaveEvery::Never => false,
            SaveEvery::Steps(steps) => frame.is_multiple_of(steps.get()),
            SaveEvery::Auto => {
                let elapsed = self.since.elapsed().as_secs_f64();
                elapsed > AUTO_SECONDS && bytes as f64 * self.pace < elapsed * SHARE
            }
        };
        if due || last { self.save(frame, layers, &tensors) } else { Ok(()) }
    }

    fn save(
        &mut self,
        frame: usize,
        layers: LayerCounts,
        tensors: &[(String, OnDevice)],
    ) -> Result<(), RunError> {
        let (start, path) = (Instant::now(), self.folder.join(FRAMES));
        let flushed = self.frames.flush().and_then(|()| self.frames.get_ref().sync_all());
        flushed.map_err(|source| RunError::write(&path, source))?;
        let name = format!("decoder-{frame}.safetensors");
        let path = self.folder.join(&name);
        let file = TemporaryFile::new(&path, true)?;
        state::serialize(tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)), None, &file)?;
        let (bytes, crc32) = checksum(file.path()).map_err(|source| RunError::write(&path, source))?;
        file.persist()?;
        let (frames, frame_bytes) = (self.count, self.frame_bytes);
        let point = Point {
            frame,
            frames,
            frame_bytes,
            floats: self.floats,
            layers,
            file: name.clone(),
            bytes,
            crc32,
        };
        write_point(&self.folder, &point)?;
        if let Some((_, old)) = self.saved.replace((frame, name)) {
            let _ = fs::remove_file(self.folder.join(old));
        }
        self.since = Instant::now();
        self.pace = start.elapsed().as_secs_f64() / bytes.max(1) as f64;
        Ok(())
    }
}

fn write_point(folder: &Path, point: &Point) -> Result<(), RunError> {
    let path = folder.join(POINT);
    let failed = |source| RunError::write(&path, source);
    let file = TemporaryFile::new(&path, true)?;
    let json = serde_json::to_vec(point).map_err(|error| failed(error.into()))?;
    file.file().write_all(&json).map_err(failed)?;
    file.persist()?;
    sync_folder(folder);
    Ok(())
}

/// Length and CRC-32 of a file.
fn checksum(path: &Path) -> std::io::Result<(u64, u32)> {
    let (mut file, mut sum, mut length) = (File::open(path)?, crc32fast::Hasher::new(), 0);
    let mut part = vec![0; 1 << 20];
    loop {
        match file.read(&mut part)? {
            0 => return Ok((length, sum.finalize())),
            bytes => {
                sum.update(&part[..bytes]);
                length += bytes as u64;
            }
        }
    }
}

/// A tensor that is read back when it is written.
struct OnDevice {
    tensor: Tensor<5>,
    shape: Vec<usize>,
}

impl OnDevice {
    fn new(tensor: Tensor<5>) -> Self {
        Self { shape: tensor.dims().to_vec(), tensor }
    }
}

impl View for &OnDevice {
    fn dtype(&self) -> Dtype {
        state::stored_dtype(self.tensor.dtype())
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(self.tensor.to_data().as_bytes().to_vec())
    }

    fn data_len(&self) -> usize {
        self.shape.iter().product::<usize>() * self.tensor.dtype().size()
    }
}

/// Frames that an earlier process decoded.
#[derive(Clone, Debug)]
pub struct Decoded {
    folder: PathBuf,
    point: Point,
}

impl Decoded {
    /// Of a run's folder; `None` if there are none, or not what was written.
    pub fn open(folder: &Path) -> Option<Self> {
        let mut json = Vec::new();
        File::open(folder.join(POINT)).ok()?.take(MAX_POINT).read_to_end(&mut json).ok()?;
        let point: Point = serde_json::from_slice(&json).ok()?;
        let plain = Path::new(&point.file).file_name().is_some_and(|name| name == point.file.as_str());
        let frames = point.frames.checked_mul(point.frame_bytes)?;
        let whole = plain
            && fs::metadata(folder.join(FRAMES)).ok()?.len() >= frames
            && checksum(&folder.join(&point.file)).ok()? == (point.bytes, point.crc32);
        whole.then(|| Self { folder: folder.to_owned(), point })
    }

    /// Whether frames are in f32.
    pub fn floats(&self) -> bool {
        self.point.floats
    }

    /// Frames of the video.
    pub fn frames(&self) -> u64 {
        self.point.frames
    }

    /// The bytes of every frame, in order.
    pub fn each(
        &self,
        frame_bytes: usize,
        take: &mut dyn FnMut(Vec<u8>) -> Result<(), RunError>,
    ) -> Result<(), RunError> {
        let path = self.folder.join(FRAMES);
        let failed = |source| RunError::read(&path, source);
        if self.point.frame_bytes != frame_bytes as u64 {
            return Err(RunError::damaged(&path, "its frames are of another size"));
        }
        let mut file = BufReader::new(File::open(&path).map_err(failed)?);
        for _ in 0..self.point.frames {
            let mut frame = vec![0; frame_bytes];
            file.read_exact(&mut frame).map_err(failed)?;
            take(frame)?;
        }
        Ok(())
    }

    /// What the decoder goes on from.
    pub fn start(&self) -> Result<DecoderStart, RunError> {
        let path = self.folder.join(&self.point.file);
        let source = wan_import::open(&path).map_err(|error| RunError::damaged(&path, error))?;
        let load = move |name: &str| {
            use wan_import::{Stored, TensorSource};
            let (info, bytes) = (source.info(name)?, source.data(name)?);
            let dtype = match info.dtype {
                Stored::F16 => DType::F16,
                Stored::F32 => DType::F32,
                _ => return None,
            };
            TensorData::try_from_bytes_vec(bytes.to_vec(), info.shape.clone(), dtype).ok()
        };
        Ok(DecoderStart { frame: self.point.frame, layers: self.point.layers.clone(), load: Box::new(load) })
    }
}

/// Takes what is kept of decoded frames out of a run's folder.
pub fn remove(folder: &Path) {
    for name in [POINT, FRAMES] {
        let _ = fs::remove_file(folder.join(name));
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("decoder-") {
            let _ = fs::remove_file(entry.path());
        }
    }
}
