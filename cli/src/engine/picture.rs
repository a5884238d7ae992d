//! Pictures from files.

use std::path::Path;

use image::{
    DynamicImage, ImageDecoder, ImageError, ImageReader, Limits,
    error::{LimitError, LimitErrorKind},
    metadata::Orientation,
};
use wan_model::image::Picture;

use super::EngineError;

/// Longest side of a picture that is read, in pixels.
const MAX_SIDE: u32 = 1 << 14;
/// Most pixels of a picture that is read: a few bytes of a file can stand for any number.
const MAX_PIXELS: u64 = 1 << 26;

/// Reads the first picture of a png, jpeg, webp or gif file, turned as its metadata say, transparency left out.
pub fn read(path: &Path) -> Result<Picture, EngineError> {
    let picture = decode(path).map_err(|error| refused(path, &error.to_string()))?.into_rgb8();
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    Picture::new(height, width, picture.into_raw()).map_err(|error| refused(path, &error.to_string()))
}

fn decode(path: &Path) -> Result<DynamicImage, ImageError> {
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(MAX_SIDE), Some(MAX_SIDE));
    let mut reader = ImageReader::open(path)?.with_guessed_format()?;
    reader.limits(limits);
    let mut decoder = reader.into_decoder()?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(ImageError::Limits(LimitError::from_kind(LimitErrorKind::DimensionError)));
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

fn refused(path: &Path, detail: &str) -> EngineError {
    EngineError {
        message: format!("{}: {detail}", path.display()),
        hint: Some(format!(
            "give a png, jpeg, webp or gif of at most {MAX_SIDE} pixels a side and {} million in all",
            MAX_PIXELS / 1_000_000
        )),
        usage: true,
        interrupted: false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_picture_is_refused_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.png");
        std::fs::write(&path, "not a picture").unwrap();
        let error = read(&path).unwrap_err();
        assert!(error.usage && error.message.contains("notes.png"), "{error}");
    }

    #[test]
    fn pixels_come_row_by_row_without_transparency() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("two.png");
        let pixels = image::RgbaImage::from_raw(1, 2, vec![1, 2, 3, 0, 4, 5, 6, 255]).unwrap();
        pixels.save(&path).unwrap();
        let picture = read(&path).unwrap();
        assert_eq!((picture.height(), picture.width()), (2, 1));
        assert_eq!(picture.pixels(), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn a_header_cannot_ask_for_memory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wide.png");
        image::RgbImage::new(MAX_SIDE + 1, 1).save(&path).unwrap();
        assert!(read(&path).is_err());
        // Grey, so that writing it takes little.
        image::GrayImage::new(1 << 13, (1 << 13) + 1).save(&path).unwrap();
        assert!(read(&path).unwrap_err().hint.unwrap().contains("67 million"));
    }
}
