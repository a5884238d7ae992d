//! Every kind of file, read back frame by frame.
#![allow(clippy::unwrap_used)]

#[path = "support/mp4.rs"]
mod mp4;

use std::{
    fs::{self, File},
    io::BufReader,
    path::Path,
};

use image::{AnimationDecoder, RgbImage, codecs::gif::GifDecoder, codecs::webp::WebPDecoder};
use tempfile::TempDir;
use wan_cli::media::{Container, Format, MediaError, Output};

const FORMAT: Format = Format { width: 64, height: 48, fps: 16, frames: 9 };

/// More than a block of GIF, and what XML and Latin-1 cannot hold as it is.
const TEXT: &str = "{\"prompt\": \"a <red> & \u{e9}\u{1f98a} ball; 'quoted', \\u0000 and much more of the same, so that the text \
     is longer than two hundred and fifty-five bytes, which is the most that one block of a GIF's comment holds, \
     however many of them follow one another until the empty one that ends them\"}";

/// Quantiser 18 on a smooth clip keeps the mean error of luma near one level.
const H264_MEAN_ERROR: f64 = 1.5;
/// 256 colours of a smooth frame; the palette search is not exact.
const GIF_MEAN_ERROR: f64 = 6.0;

/// Two slow gradients and a disc that moves.
fn clip(format: &Format) -> Vec<RgbImage> {
    let (width, height) = (format.width as f32, format.height as f32);
    let pixel = |t: f32, x: u32, y: u32| {
        let (x, y) = (x as f32 / width, y as f32 / height);
        let distance = ((x - 0.3 - 0.04 * t).powi(2) + (y - 0.5).powi(2)).sqrt();
        let disc = 1.0 / (1.0 + ((distance - 0.2) * 40.0).exp());
        image::Rgb([40.0 + 160.0 * x, 60.0 + 120.0 * y, 90.0 + 120.0 * disc].map(|v| v as u8))
    };
    (0..format.frames)
        .map(|t| RgbImage::from_fn(format.width, format.height, |x, y| pixel(t as f32, x, y)))
        .collect()
}

fn write(path: &Path, format: Format, overwrite: bool) -> Result<Vec<RgbImage>, MediaError> {
    let frames = clip(&format);
    let mut writer = Output::parse(path)?.open(format, overwrite, Some(TEXT))?;
    frames.iter().try_for_each(|frame| writer.push(frame))?;
    writer.finish()?;
    Ok(frames)
}

fn mean_error(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(&a, &b)| f64::from(a.abs_diff(b))).sum::<f64>() / a.len() as f64
}

/// Luma of ITU-R BT.709 in limited range.
fn luma(frame: &RgbImage) -> Vec<u8> {
    let value = |p: &image::Rgb<u8>| {
        let [r, g, b] = p.0.map(f64::from);
        (16.5 + 219.0 / 255.0 * (0.2126 * r + 0.7152 * g + 0.0722 * b)) as u8
    };
    frame.pixels().map(value).collect()
}

#[test]
fn mp4_decodes_to_its_frames() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("clip.mp4");
    let frames = write(&path, FORMAT, false).unwrap();
    let pictures = mp4::pictures(&fs::read(&path).unwrap());
    assert_eq!(pictures.len(), frames.len());
    for (frame, picture) in frames.iter().zip(&pictures) {
        assert_eq!((picture.width, picture.height), (64, 48));
        let error = mean_error(&picture.luma, &luma(frame));
        assert!(error < H264_MEAN_ERROR, "luma is off by {error:.2} levels");
    }
}

#[test]
fn mp4_starts_fast_and_times_exactly() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("clip.mp4");
    let format = Format { frames: 40, ..FORMAT };
    write(&path, format, false).unwrap();
    let bytes = fs::read(&path).unwrap();
    let find = |tag: &[u8; 4]| bytes.windows(4).position(|w| w == tag).unwrap();
    assert!(find(b"ftyp") < find(b"moov") && find(b"moov") < find(b"mdat"), "the index comes first");
    assert!(find(b"colr") < find(b"mdat"));
    let (entry, samples) = mp4::samples(&bytes);
    assert_eq!((entry.visual.width, entry.visual.height), (64, 48));
    assert!(samples.iter().all(|s| s.timescale == 16 * s.duration), "each sample lasts 1/16 s");
    assert!(samples[0].key, "the first sample is a key frame");
    let keys = samples.iter().filter(|s| s.key).count();
    assert_eq!(keys, 2, "a key frame every 2 s");
}

#[test]
fn mp4_refuses_odd_sizes() {
    let folder = TempDir::new().unwrap();
    let format = Format { width: 63, ..FORMAT };
    let refused = write(&folder.path().join("odd.mp4"), format, false).unwrap_err();
    assert!(matches!(refused, MediaError::OddSize { width: 63, height: 48 }));
    assert!(refused.hint().is_some());
}

#[test]
fn gif_keeps_colours_and_time() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("clip.gif");
    let frames = write(&path, FORMAT, false).unwrap();
    let decoded = GifDecoder::new(BufReader::new(File::open(&path).unwrap())).unwrap().into_frames();
    let decoded = decoded.collect_frames().unwrap();
    assert_eq!(decoded.len(), frames.len());
    let mut milliseconds = 0;
    for (frame, decoded) in frames.iter().zip(decoded) {
        milliseconds += decoded.delay().numer_denom_ms().0;
        let rgb = image::DynamicImage::ImageRgba8(decoded.into_buffer()).into_rgb8();
        let error = mean_error(&rgb, frame);
        assert!(error < GIF_MEAN_ERROR, "off by {error:.2} levels");
    }
    // 9 frames at 16 fps are 56.25 hundredths.
    assert_eq!(milliseconds, 560);
}

#[test]
fn webp_is_lossless() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("clip.webp");
    let frames = write(&path, FORMAT, false).unwrap();
    let bytes = fs::read(&path).unwrap();
    assert_eq!(u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize + 8, bytes.len());
    let decoder = WebPDecoder::new(BufReader::new(File::open(&path).unwrap())).unwrap();
    assert!(decoder.has_animation());
    let decoded = decoder.into_frames().collect_frames().unwrap();
    assert_eq!(decoded.len(), frames.len());
    let mut milliseconds = 0;
    for (frame, decoded) in frames.iter().zip(decoded) {
        milliseconds += decoded.delay().numer_denom_ms().0;
        let rgb = image::DynamicImage::ImageRgba8(decoded.into_buffer()).into_rgb8();
        assert!(rgb == *frame, "a frame differs");
    }
    assert_eq!(milliseconds, 563);
}

#[test]
fn png_sequences_are_lossless_and_appear_whole() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("film_%03d.png");
    let frames = write(&path, FORMAT, false).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), frames.len());
    for (index, frame) in frames.iter().enumerate() {
        let decoded = image::open(folder.path().join(format!("film_{index:03}.png"))).unwrap();
        assert!(decoded.into_rgb8() == *frame, "frame {index}");
    }
    assert!(matches!(write(&path, FORMAT, false), Err(MediaError::Exists { .. })));
    write(&path, Format { frames: 3, ..FORMAT }, true).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "frames of before are gone");
}

#[test]
fn a_folder_takes_numbered_frames() {
    let folder = TempDir::new().unwrap();
    let new = format!("{}/new/", folder.path().display());
    write(Path::new(&new), Format { frames: 2, ..FORMAT }, false).unwrap();
    assert!(folder.path().join("new/frame_0001.png").is_file());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary folder is left");
}

#[test]
fn one_png_holds_one_frame() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("still.png");
    let frames = write(&path, Format { frames: 1, ..FORMAT }, false).unwrap();
    assert!(image::open(&path).unwrap().into_rgb8() == frames[0]);
    assert!(matches!(write(&folder.path().join("two.png"), FORMAT, false), Err(MediaError::OnePng { .. })));
}

#[test]
fn an_unfinished_file_vanishes() {
    let folder = TempDir::new().unwrap();
    for name in ["a.mp4", "a.gif", "a.webp", "a_%d.png"] {
        let mut writer = Output::parse(&folder.path().join(name)).unwrap().open(FORMAT, false, None).unwrap();
        writer.push(&clip(&FORMAT)[0]).unwrap();
        drop(writer);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{name}");
    }
}

#[test]
fn frames_of_another_size_and_empty_files_are_refused() {
    let folder = TempDir::new().unwrap();
    for name in ["a.mp4", "a.gif", "a.webp", "a_%d.png"] {
        let output = Output::parse(&folder.path().join(name)).unwrap();
        let mut writer = output.open(FORMAT, false, None).unwrap();
        assert!(matches!(writer.push(&RgbImage::new(32, 48)), Err(MediaError::FrameSize { .. })), "{name}");
        assert!(matches!(writer.finish(), Err(MediaError::Empty)), "{name}");
    }
}

#[test]
fn a_file_is_replaced_only_when_asked() {
    let folder = TempDir::new().unwrap();
    for name in ["a.mp4", "a.gif", "a.webp"] {
        let path = folder.path().join(name);
        fs::write(&path, "kept").unwrap();
        assert!(matches!(write(&path, FORMAT, false), Err(MediaError::Exists { .. })), "{name}");
        assert_eq!(fs::read(&path).unwrap(), b"kept");
        write(&path, FORMAT, true).unwrap();
        assert!(fs::metadata(&path).unwrap().len() > 4);
    }
}

/// A file of each kind with [`TEXT`], and the first file that it made.
fn commented(folder: &Path) -> Vec<std::path::PathBuf> {
    let still = Format { frames: 1, ..FORMAT };
    write(&folder.join("still.png"), still, false).unwrap();
    for name in ["a.mp4", "a.gif", "a.webp", "a_%d.png"] {
        write(&folder.join(name), FORMAT, false).unwrap();
    }
    ["a.mp4", "a.gif", "a.webp", "a_0.png", "a_8.png", "still.png"].map(|name| folder.join(name)).to_vec()
}

fn text_of(path: &Path) -> std::io::Result<Option<String>> {
    Container::of(path)?.expect("a known kind").read(path)
}

#[test]
fn every_file_carries_its_text() {
    let folder = TempDir::new().unwrap();
    for path in commented(folder.path()) {
        assert_eq!(text_of(&path).unwrap().as_deref(), Some(TEXT), "{}", path.display());
    }
}

#[test]
fn files_without_a_text_have_none() {
    let folder = TempDir::new().unwrap();
    for name in ["a.mp4", "a.gif", "a.webp", "a_%d.png"] {
        let path = folder.path().join(name);
        let mut writer = Output::parse(&path).unwrap().open(FORMAT, false, None).unwrap();
        writer.push(&clip(&FORMAT)[0]).unwrap();
        writer.finish().unwrap();
        assert_eq!(text_of(&folder.path().join(name.replace("%d", "0"))).unwrap(), None, "{name}");
    }
    let other = folder.path().join("notes.mp4");
    fs::write(&other, "no video at all").unwrap();
    assert_eq!(Container::of(&other).unwrap(), None);
}

/// Damage may take the text away, or change it; it may not do worse.
#[test]
fn damaged_files_end_in_an_error_or_a_text() {
    let folder = TempDir::new().unwrap();
    let broken = folder.path().join("broken");
    for path in commented(folder.path()) {
        let (container, bytes) = (Container::of(&path).unwrap().unwrap(), fs::read(&path).unwrap());
        // Every place near the text and the start, and some of all others.
        let at = bytes.windows(7).position(|w| w == b"prompt\"").unwrap_or(0);
        let near = |i: usize| i < 32 || i.abs_diff(at) < 24 || i.is_multiple_of(997) || i + 32 > bytes.len();
        for index in (0..bytes.len()).filter(|&i| near(i)) {
            for value in [0, 0x7f, 0xff] {
                let mut changed = bytes.clone();
                changed[index] = value;
                fs::write(&broken, &changed).unwrap();
                let _ = container.read(&broken);
            }
            fs::write(&broken, &bytes[..index]).unwrap();
            if let Ok(Some(text)) = container.read(&broken) {
                assert_eq!(text, TEXT, "{} cut at {index}", path.display());
            }
        }
    }
}

#[test]
fn a_size_in_a_file_asks_for_no_memory() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.webp");
    let mut bytes = b"RIFF\xff\xff\xff\xffWEBPXMP \xff\xff\xff\xff".to_vec();
    fs::write(&path, &bytes).unwrap();
    assert!(text_of(&path).is_err());
    bytes.extend(vec![b' '; 100]);
    fs::write(&path, &bytes).unwrap();
    assert!(text_of(&path).is_err());
}
