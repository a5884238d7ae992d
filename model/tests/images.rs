//! Pictures resized and normalised, against Pillow, torch, transformers and diffusers; the frames they stand for.
#![allow(clippy::unwrap_used)]

use burn::tensor::Device;
use proptest::prelude::*;
use testkit::{Golden, devices, relative_l2};
use wan_model::{
    LatentShape,
    image::{Filter, Picture, PictureError, Planes, clip_planes, clip_planes_diffusers, condition_mask},
};

/// Torch and we do the same f32 operations, but it fuses some pairs of them: some units in the last place of values
/// near 1.
const TORCH: f32 = 2e-6;
/// The same steps on the same bytes: one rounding of the last division.
const NORMALISED: f32 = 5e-7;

fn picture(golden: &Golden, name: &str) -> Picture {
    let (shape, values) = golden.get(name);
    Picture::new(shape[0], shape[1], values.iter().map(|&v| v as u8).collect()).unwrap()
}

/// Picture, height and width in a key's end, `name.HxW`.
fn target(key: &str) -> (&str, usize, usize) {
    let (name, size) = key.split_once('.').unwrap();
    let (height, width) = size.split_once('x').unwrap();
    (name, height.parse().unwrap(), width.parse().unwrap())
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |largest, (a, b)| (a - b).abs().max(largest))
}

fn assert_planes(what: &str, planes: &Planes, golden: &Golden, bound: f32) {
    let (shape, expected) = golden.get(what);
    assert_eq!([3, planes.height(), planes.width()], shape, "{what}");
    let difference = largest_difference(planes.values(), expected);
    assert!(difference <= bound, "{what}: {difference:e} above {bound:e}");
    assert!(relative_l2(planes.values(), expected) <= f64::from(bound), "{what}");
}

#[test]
fn eight_bit_resizing_is_pillows_to_the_bit() {
    let golden = Golden::load("images");
    for (filter, prefix) in [(Filter::Bicubic, "bicubic."), (Filter::Lanczos, "lanczos.")] {
        assert_eq!(golden.keys(prefix).count(), 12);
        for key in golden.keys(prefix) {
            let (name, height, width) = target(key);
            let resized = picture(&golden, name).resized(height, width, filter).unwrap();
            let expected: Vec<u8> =
                golden.get(&format!("{prefix}{key}")).1.iter().map(|&v| v as u8).collect();
            assert_eq!((resized.height(), resized.width()), (height, width));
            assert!(resized.pixels() == expected, "{prefix}{key}");
        }
    }
}

#[test]
fn planes_are_resized_as_torch_does() {
    let golden = Golden::load("images");
    assert_eq!(golden.keys("torch.").count(), 12);
    for key in golden.keys("torch.") {
        let (name, height, width) = target(key);
        let planes = picture(&golden, name).planes().resized(height, width).unwrap();
        assert_planes(&format!("torch.{key}"), &planes, &golden, TORCH);
    }
}

#[test]
fn clip_sees_what_the_references_show_it() {
    let golden = Golden::load("images");
    for name in ["wide", "tall"] {
        let picture = picture(&golden, name);
        let official = clip_planes(&picture.planes(), 28).unwrap();
        // The deviations divide by about 0.27, after a halving.
        assert_planes(&format!("clip.{name}"), &official, &golden, 2.0 * TORCH);
        let cut = clip_planes_diffusers(&picture, 28).unwrap();
        assert_planes(&format!("clip_processor.{name}"), &cut, &golden, NORMALISED);
    }
}

#[test]
fn a_first_frame_is_the_video_processors_to_the_bit() {
    let golden = Golden::load("images");
    for name in ["wide", "tall"] {
        let frame = picture(&golden, name).resized(32, 48, Filter::Lanczos).unwrap().planes();
        assert_planes(&format!("video_processor.{name}"), &frame, &golden, 0.0);
    }
}

#[test]
fn a_covered_frame_is_pillows_to_the_bit() {
    let golden = Golden::load("images");
    assert_eq!(golden.keys("cover.").count(), 14);
    for key in golden.keys("cover.") {
        let (name, height, width) = target(key);
        let covering = picture(&golden, name).covering(height, width).unwrap();
        let expected: Vec<u8> = golden.get(&format!("cover.{key}")).1.iter().map(|&v| v as u8).collect();
        assert_eq!((covering.height(), covering.width()), (height, width));
        assert!(covering.pixels() == expected, "cover.{key}");
    }
}

#[test]
fn an_unchanged_size_changes_nothing() {
    let picture = picture(&Golden::load("images"), "wide");
    for filter in [Filter::Bicubic, Filter::Lanczos] {
        assert_eq!(picture.resized(23, 37, filter).unwrap(), picture);
    }
    assert_eq!(picture.planes().resized(23, 37).unwrap(), picture.planes());
}

#[test]
fn the_middle_is_cut_out() {
    let picture = Picture::new(3, 4, (0..36).collect()).unwrap();
    let middle = picture.cropped(1, 2).unwrap();
    assert_eq!((middle.height(), middle.width(), middle.pixels()), (1, 2, &[15, 16, 17, 18, 19, 20][..]));
    let odd = picture.cropped(9, 1).unwrap();
    assert_eq!((odd.height(), odd.width(), odd.pixels()[0]), (3, 1, 3));
    for ((height, width), size) in
        [((480, 832), (2, 4)), ((832, 480), (3, 2)), ((6, 8), (3, 4)), ((1, 1000), (1, 4))]
    {
        let part = picture.cropped_to_proportions(height, width).unwrap();
        assert_eq!((part.height(), part.width()), size, "{height}x{width}");
    }
}

#[test]
fn what_is_no_picture_is_refused() {
    let error = Picture::new(0, 4, Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "a picture of 4x0 has no pixels");
    let error = Picture::new(2, 2, vec![0; 11]).unwrap_err();
    assert_eq!(error.to_string(), "a picture of 2x2 does not have 11 values");
    assert!(Picture::new(usize::MAX, 2, vec![0; 6]).is_err());
    assert!(matches!(Planes::new(1, 1, vec![0.0; 4]), Err(PictureError::Length { values: 4, .. })));
    let dot = Picture::new(1, 1, vec![7, 8, 9]).unwrap();
    assert!(matches!(dot.resized(0, 1, Filter::Bicubic), Err(PictureError::Empty { .. })));
    assert!(matches!(dot.cropped(1, 0), Err(PictureError::Empty { .. })));
    assert!(matches!(dot.cropped_to_proportions(0, 0), Err(PictureError::Empty { .. })));
    assert!(matches!(dot.covering(1, 0), Err(PictureError::Empty { .. })));
    assert!(matches!(dot.planes().resized(1, 0), Err(PictureError::Empty { .. })));
    assert!(clip_planes(&dot.planes(), 0).is_err() && clip_planes_diffusers(&dot, 0).is_err());
}

/// A strip a million times as long as wide would be gigabytes at full length.
#[test]
fn extreme_proportions_cost_only_the_part_that_is_seen() {
    for (height, width) in [(1, 1_000_000), (1_000_000, 1)] {
        let strip = Picture::new(height, width, vec![128; 3_000_000]).unwrap();
        let seen = clip_planes_diffusers(&strip, 224).unwrap();
        assert_eq!((seen.height(), seen.width()), (224, 224));
        let whole = clip_planes(&strip.planes(), 224).unwrap();
        assert_eq!(whole.values().len(), 3 * 224 * 224);
        assert_eq!(strip.covering(240, 416).unwrap().pixels(), vec![128; 3 * 240 * 416]);
    }
}

/// The mask's values, and those of `[temporal, frames]` repeated over height and width.
fn assert_mask(device: &Device, shape: [usize; 3], temporal: usize, last: bool, expected: &[f32]) {
    let [frames, height, width] = shape;
    let latent = LatentShape { channels: 16, frames, height, width };
    let mask = condition_mask(&latent, temporal, last, device);
    assert_eq!(mask.dims(), [1, temporal, frames, height, width]);
    let values = mask.into_data().try_into_vec::<f32>().unwrap();
    let spread: Vec<f32> = expected.iter().flat_map(|&v| vec![v; height * width]).collect();
    assert!(values == spread, "{shape:?} {temporal} {last}");
}

#[test]
fn masks_of_published_lengths() {
    let with_ones = |frames: usize, ones: &[(usize, usize)]| {
        let mut mask = vec![0.0; 4 * frames];
        ones.iter().for_each(|&(channel, frame)| mask[channel * frames + frame] = 1.0);
        mask
    };
    let first = [(0, 0), (1, 0), (2, 0), (3, 0)];
    let both = [&first[..], &[(3, 20)]].concat();
    for device in devices() {
        let device = &device.device;
        assert_mask(device, [3, 2, 3], 4, false, &with_ones(3, &first));
        assert_mask(device, [21, 1, 2], 4, true, &with_ones(21, &both));
        assert_mask(device, [1, 2, 2], 4, false, &[1.0; 4]);
        assert_mask(device, [1, 2, 2], 4, true, &[1.0; 4]);
    }
}

/// The official steps: a row of pixel frames, frame 0 repeated once for each channel, cut into latent frames, turned.
fn packed(frames: usize, temporal: usize, last: bool) -> Vec<f32> {
    let pixel_frames = (frames - 1) * temporal + 1;
    let mut row = vec![0.0; pixel_frames];
    row[0] = 1.0;
    if last {
        row[pixel_frames - 1] = 1.0;
    }
    let repeated: Vec<f32> = vec![row[0]; temporal].into_iter().chain(row[1..].iter().copied()).collect();
    (0..temporal).flat_map(|channel| repeated.iter().copied().skip(channel).step_by(temporal)).collect()
}

proptest! {
    #[test]
    fn masks_are_the_official_ones(shape in [1..40usize, 1..4usize, 1..4usize], temporal in 1..9usize, last: bool) {
        assert_mask(&Device::flex(), shape, temporal, last, &packed(shape[0], temporal, last));
    }

    #[test]
    fn what_covers_has_the_size_asked_for(from in [1..40usize, 1..40usize], to in [1..60usize, 1..60usize]) {
        let colour = [9, 99, 199];
        let picture = Picture::new(from[0], from[1], colour.repeat(from[0] * from[1])).unwrap();
        let covering = picture.covering(to[0], to[1]).unwrap();
        prop_assert_eq!([covering.height(), covering.width()], to);
        prop_assert_eq!(covering.pixels(), colour.repeat(to[0] * to[1]));
    }

    /// Filters sum to one: a picture of one colour keeps it, whatever the sizes.
    #[test]
    fn one_colour_stays_itself(from in [1..40usize, 1..40usize], to in [1..60usize, 1..60usize], colour: [u8; 3]) {
        let picture = Picture::new(from[0], from[1], colour.repeat(from[0] * from[1])).unwrap();
        for filter in [Filter::Bicubic, Filter::Lanczos] {
            let resized = picture.resized(to[0], to[1], filter).unwrap();
            prop_assert_eq!(resized.pixels(), colour.repeat(to[0] * to[1]));
        }
        let planes = picture.planes().resized(to[0], to[1]).unwrap();
        let expected = Picture::new(to[0], to[1], colour.repeat(to[0] * to[1])).unwrap().planes();
        prop_assert!(largest_difference(planes.values(), expected.values()) < TORCH);
    }
}
