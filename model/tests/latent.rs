//! Frame, latent and token arithmetic against the published sizes.

use proptest::prelude::*;
use wan_model::{LatentError, MAX_PIXELS, Strides};

const V21: Strides = Strides::VAE_2_1;
const V22: Strides = Strides::VAE_2_2;

fn area_sizes(strides: Strides, h: usize, w: usize, area: usize) -> [(usize, usize); 3] {
    let by_area = strides.size_for_area(h, w, area);
    [by_area, strides.size_for_area_rounded(h, w, area), strides.size_covered_by(h, w, area)]
}

#[test]
fn published_videos_have_their_token_counts() {
    let rows = [
        (V21, [81, 480, 832], [21, 60, 104], 32_760),
        (V21, [41, 480, 832], [11, 60, 104], 17_160),
        (V21, [81, 464, 832], [21, 58, 104], 31_668),
        (V21, [41, 464, 832], [11, 58, 104], 16_588),
        (V21, [81, 720, 1280], [21, 90, 160], 75_600),
        (V22, [121, 704, 1280], [31, 44, 80], 27_280),
        (V21, [5, 256, 256], [2, 32, 32], 512),
        (V21, [1, 16, 16], [1, 2, 2], 1),
    ];
    for (strides, [f, h, w], latent, tokens) in rows {
        let shape = strides.latent(16, f, h, w).expect("legal");
        assert_eq!([shape.frames, shape.height, shape.width], latent);
        assert_eq!(shape.tokens(strides.patch), tokens, "{f} {h} {w}");
        assert_eq!(shape.dims(), [1, 16, latent[0], latent[1], latent[2]]);
        assert_eq!(strides.pixel_frames(shape.frames), f);
    }
}

#[test]
fn area_sizing_keeps_the_reference_rounding() {
    let small = [
        ((480, 832), (464, 832)),
        ((832, 480), (832, 480)),
        ((720, 1280), (464, 832)),
        ((1080, 1920), (464, 832)),
        ((768, 1344), (464, 832)),
        ((1024, 1024), (624, 624)),
    ];
    for ((h, w), size) in small {
        assert_eq!(V21.size_for_area(h, w, 480 * 832), size, "{h}x{w}");
    }
    let large = [((480, 832), (720, 1248)), ((720, 1280), (720, 1280)), ((1024, 1024), (960, 960))];
    for ((h, w), size) in large {
        assert_eq!(V21.size_for_area(h, w, 720 * 1280), size, "{h}x{w}");
    }
}

#[test]
fn rounded_area_sizing_keeps_the_size_that_fills_the_area() {
    let rows = [
        ((480, 832), 480 * 832, (480, 832)),
        ((832, 480), 480 * 832, (832, 480)),
        ((720, 1280), 480 * 832, (464, 832)),
        ((1024, 1024), 480 * 832, (624, 624)),
        ((720, 1280), 720 * 1280, (720, 1280)),
        // 47.5 x 190 pixels.
        ((1, 4), 9025, (48, 176)),
    ];
    for ((h, w), area, size) in rows {
        assert_eq!(V21.size_for_area_rounded(h, w, area), size, "{h}x{w}");
    }
}

#[test]
fn covered_sizes_are_those_of_the_official_code() {
    let rows = [
        ((704, 1280), (704, 1280)),
        ((480, 832), (704, 1248)),
        ((1080, 1920), (704, 1248)),
        ((1024, 1024), (928, 960)),
        ((1280, 720), (1248, 704)),
    ];
    for ((h, w), size) in rows {
        assert_eq!(V22.size_covered_by(h, w, 704 * 1280), size, "{h}x{w}");
    }
}

#[test]
fn errors_name_the_nearest_legal_value() {
    assert_eq!(
        V21.latent(16, 80, 480, 832),
        Err(LatentError::IllegalFrameCount { frames: 80, stride: 4, below: 77, above: 81 })
    );
    let error = V22.latent(48, 121, 720, 1280);
    assert!(matches!(error, Err(LatentError::IllegalSize { near_h: 736, near_w: 1280, .. })), "{error:?}");
    assert_eq!(V21.nearest_frames(0), (1, 1));
    assert!(matches!(V21.latent(16, 0, 480, 832), Err(LatentError::IllegalFrameCount { above: 1, .. })));
    assert!(matches!(V21.latent(16, 1, 0, 832), Err(LatentError::IllegalSize { near_h: 16, .. })));
    let huge = usize::MAX - 15;
    assert!(matches!(V21.latent(16, 1, huge, huge), Err(LatentError::TooLarge { .. })));
    assert!(V21.latent(16, usize::MAX - 1, 16, 16).is_err());
}

proptest! {
    #[test]
    fn frames_survive_the_way_there_and_back(latent_frames in 1usize..2000) {
        let frames = V21.pixel_frames(latent_frames);
        let shape = V21.latent(16, frames, 32, 32).expect("legal");
        prop_assert_eq!(shape.frames, latent_frames);
    }

    #[test]
    fn nearest_frames_enclose_and_are_legal(frames in 1usize..usize::MAX / 2) {
        let (below, above) = V21.nearest_frames(frames);
        prop_assert!(below <= frames && frames <= above && above - below <= 4);
        prop_assert_eq!((below % 4, above % 4), (1, 1));
    }

    #[test]
    fn nearest_sizes_are_legal_and_near(h in 1usize..5000, w in 1usize..5000) {
        let (near_h, near_w) = V22.nearest_size(h, w);
        prop_assert!(near_h.abs_diff(h.max(16)) <= 16 && near_w.abs_diff(w.max(16)) <= 16);
        prop_assert!(near_h * near_w > MAX_PIXELS || V22.latent(48, 1, near_h, near_w).is_ok());
    }

    #[test]
    fn any_request_is_answered_without_overflow(f in any::<usize>(), h in any::<usize>(), w in any::<usize>()) {
        let _ = V21.latent(16, f, h, w);
        for (height, width) in area_sizes(V22, h, w, f) {
            prop_assert!(height >= 32 && width >= 32 && height % 32 == 0 && width % 32 == 0);
        }
    }

    #[test]
    fn every_size_is_of_whole_tokens(h in 0usize..5000, w in 0usize..5000, area in 0usize..2_000_000) {
        for (strides, token) in [(V21, 16), (V22, 32)] {
            for (height, width) in area_sizes(strides, h, w, area) {
                prop_assert!(height >= token && width >= token && height % token == 0 && width % token == 0);
            }
        }
    }

    #[test]
    fn covered_sizes_fill_the_area_from_below(h in 64usize..4000, w in 64usize..4000) {
        let area = 704 * 1280;
        let (height, width) = V22.size_covered_by(h, w, area);
        prop_assert!(height * width <= area && (height + 32) * (width + 32) > area);
    }

    #[test]
    fn area_sizes_fill_the_area_from_below(h in 64usize..4000, w in 64usize..4000) {
        let area = 480 * 832;
        let (height, width) = V21.size_for_area(h, w, area);
        prop_assert!(height % 16 == 0 && width % 16 == 0);
        prop_assert!(height * width <= area || height == 16 || width == 16);
    }
}
