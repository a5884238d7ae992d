//! Pictures of a video under way. The colours of an autoencoder's latents are fitted once and kept in the user's cache
//! folder.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use burn::prelude::*;
use image::{RgbImage, imageops};
use serde::{Deserialize, Serialize};
use wan_import::{Checkpoint, load_tiny_decoder};
use wan_model::{LatentColours, TinyDecoder};
use wan_pipeline::{Preview, Step, latent_colours};

use crate::{
    media::TemporaryFile,
    metadata::ModelFile,
    verdicts::{cache_folder, fnv1a},
};

/// Far above the size of any record.
const MAX_BYTES: u64 = 1 << 16;
/// Raised when the fit changes.
const REVISION: u32 = 2;
/// Frames of a video that are shown beside each other.
const SHOWN: usize = 3;
/// About how high a shown frame is, in pixels.
const HEIGHT: u32 = 192;

/// After how many steps each a picture of the video so far is made, and how.
#[derive(Clone, Debug)]
pub struct PreviewRequest {
    pub every: NonZeroUsize,
    /// A tiny decoder's file; colours straight from latents without it.
    pub tae: Option<PathBuf>,
}

/// Makes a picture after every few steps.
pub struct Previews {
    every: usize,
    look: Look,
}

/// What turns latents into pictures.
enum Look {
    Colours(LatentColours),
    Tiny(Box<TinyDecoder>),
}

/// A fit as it is kept.
#[derive(Serialize, Deserialize)]
struct Record {
    revision: u32,
    /// Hashes of the autoencoder's files.
    vae: String,
    first: Vec<[f32; 3]>,
    rest: Vec<[f32; 3]>,
}

impl Previews {
    /// What is asked for.
    ///
    /// # Errors
    /// Why there are none, in words: they are no reason to stop a run.
    pub fn new(
        wanted: &PreviewRequest,
        checkpoint: &Checkpoint,
        models: &[ModelFile],
        device: &Device,
    ) -> Result<Self, String> {
        let every = wanted.every.get();
        if let Some(path) = &wanted.tae {
            let tiny = load_tiny_decoder(path, device).map_err(|error| error.to_string())?;
            return Ok(Self { every, look: Look::Tiny(Box::new(tiny)) });
        }
        let vae = models.iter().filter(|file| file.component == "vae").map(|file| file.hash.as_str());
        let vae = vae.collect::<Vec<_>>().join(" ");
        let channels = checkpoint.vae_config.z_dim;
        let colours = match load(&vae).filter(|known| known.channels() == channels) {
            Some(known) => known,
            None => {
                let fitted = latent_colours(checkpoint, device).map_err(|error| error.to_string())?;
                store(&vae, &fitted);
                fitted
            }
        };
        Ok(Self { every, look: Look::Colours(colours) })
    }

    /// The picture after `step`, if one is due.
    pub fn picture(&self, step: &Step) -> Option<RgbImage> {
        let done = step.index + 1;
        let due = done.is_multiple_of(self.every) && done < step.total;
        match &self.look {
            _ if !due => None,
            Look::Colours(colours) => step.preview(colours).map(|preview| colours_strip(&preview)),
            Look::Tiny(tiny) => {
                let clean = step.clean();
                let shown = shown(clean.dims()[2]).into_iter();
                let frames: Vec<_> = shown.filter_map(|frame| decoded(tiny, &clean, frame)).collect();
                Some(strip(&frames))
            }
        }
    }
}

/// First, middle and last of so many frames.
fn shown(frames: usize) -> Vec<usize> {
    let last = frames.saturating_sub(1);
    let mut shown: Vec<_> = (0..SHOWN).map(|part| part * last / (SHOWN - 1)).collect();
    shown.dedup();
    shown
}

fn colours_strip(preview: &Preview) -> RgbImage {
    let frames: Vec<_> = shown(preview.frames).into_iter().map(|frame| frame_of(preview, frame)).collect();
    strip(&frames)
}

/// Frames beside each other, all of the first one's size, large enough to be seen and no larger.
fn strip(frames: &[RgbImage]) -> RgbImage {
    let (width, height) = frames.first().map_or((1, 1), RgbImage::dimensions);
    let (width, height) = (width.max(1), height.max(1));
    let (width, height) = match HEIGHT.div_ceil(height) {
        1 => ((width * HEIGHT).div_ceil(height), HEIGHT),
        scale => (width * scale, height * scale),
    };
    let mut picture = RgbImage::new(width * frames.len() as u32, height);
    for (place, frame) in (0..).zip(frames) {
        let frame = imageops::resize(frame, width, height, imageops::FilterType::Triangle);
        imageops::replace(&mut picture, &frame, i64::from(place * width), 0);
    }
    picture
}

/// Latent frame `frame` with the one before it, as much of the past as a preview needs; the last picture of them.
fn decoded(tiny: &TinyDecoder, latents: &Tensor<5>, frame: usize) -> Option<RgbImage> {
    let video = tiny.forward(latents.clone().slice_dim(2, frame.saturating_sub(1)..frame + 1));
    let [_, _, frames, height, width] = video.dims();
    let last = video.slice_dim(2, frames - 1..frames).permute([0, 2, 3, 4, 1]);
    let values: Vec<f32> = last.into_data().convert::<f32>().try_into_vec().ok()?;
    let bytes = values.into_iter().map(|v| (v * 255.0).round() as u8).collect();
    RgbImage::from_raw(width as u32, height as u32, bytes)
}

fn frame_of(preview: &Preview, frame: usize) -> RgbImage {
    let (width, height) = (preview.width, preview.height);
    RgbImage::from_fn(width as u32, height as u32, |x, y| {
        let at = (frame * height + y as usize) * width + x as usize;
        image::Rgb(preview.colours[at].map(|v| (v * 255.0).round() as u8))
    })
}

fn path(vae: &str) -> Option<PathBuf> {
    Some(cache_folder()?.join("previews").join(format!("{:016x}.json", fnv1a(vae.bytes()))))
}

fn load(vae: &str) -> Option<LatentColours> {
    let mut bytes = Vec::new();
    File::open(path(vae)?).ok()?.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    let record: Record = serde_json::from_slice(&bytes).ok()?;
    let same = record.revision == REVISION && record.vae == vae && record.first.len() == record.rest.len();
    let finite = record.first.iter().chain(&record.rest).flatten().all(|weight| weight.is_finite());
    (same && finite).then_some(LatentColours { first: record.first, rest: record.rest })
}

/// Where nothing can be written the next run fits again.
fn store(vae: &str, colours: &LatentColours) {
    let LatentColours { first, rest } = colours.clone();
    let record = Record { revision: REVISION, vae: vae.to_owned(), first, rest };
    let Some(path) = path(vae) else { return };
    if let Err(error) = write(&record, &path) {
        tracing::debug!("{}: {error}", path.display());
    }
}

fn write(record: &Record, path: &Path) -> io::Result<()> {
    fs::create_dir_all(path.parent().unwrap_or(path))?;
    let file = TemporaryFile::new(path, true).map_err(io::Error::other)?;
    file.file().write_all(&serde_json::to_vec(record)?)?;
    file.persist().map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strip_shows_first_middle_and_last_frame() {
        let colours = (0..5).flat_map(|t| vec![[t as f32 / 4.0, 0.0, 1.0]; 6]).collect();
        let picture = colours_strip(&Preview { frames: 5, height: 2, width: 3, colours });
        assert_eq!(picture.dimensions(), (3 * 3 * 96, 2 * 96));
        let at = |x| picture.get_pixel(x, 50).0;
        assert_eq!([at(10), at(400), at(800)], [[0, 0, 255], [128, 0, 255], [255, 0, 255]]);
        let one =
            colours_strip(&Preview { frames: 1, height: 400, width: 20, colours: vec![[0.0; 3]; 8000] });
        assert_eq!(one.dimensions(), (10, 192));
    }
}
