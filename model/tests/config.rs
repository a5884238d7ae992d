//! Presets against the released files and the official command lines.

use wan_model::{ModelKind, SamplingDefaults, WanConfig};

#[test]
fn parameter_counts_are_those_of_the_released_files() {
    let rows = [
        (WanConfig::t2v_1_3b(), 1_418_996_800),
        (WanConfig::t2v_14b(), 14_288_491_584),
        (WanConfig::i2v_14b(), 16_394_878_784),
        (WanConfig::flf2v_14b(), 16_395_536_704),
        (WanConfig::vace_1_3b(), 2_153_972_032),
        (WanConfig::vace_14b(), 17_337_592_896),
        (WanConfig::t2v_a14b(), 14_288_491_584),
        (WanConfig::i2v_a14b(), 14_288_901_184),
        (WanConfig::ti2v_5b(), 4_999_787_712),
        (WanConfig::lingbot_base_cam(), 18_544_332_864),
        (WanConfig::lingbot_base_act(), 18_545_643_584),
        (WanConfig::lingbot_fast(), 18_544_332_864),
        (WanConfig::lingbot_v2_14b(), 18_544_332_864),
        (WanConfig::lingbot_v2_1_3b(), 1_709_502_016),
    ];
    for (config, parameters) in rows {
        assert_eq!(config.parameter_count(), Some(parameters), "{config:?}");
        assert_eq!(config.head_dim(), 128);
    }
    assert_eq!(WanConfig::s2v_14b().parameter_count(), None);
    assert_eq!(WanConfig::animate_14b().parameter_count(), None);
}

#[test]
fn hints_go_to_every_second_or_fifth_block() {
    let ModelKind::Vace { layers, .. } = WanConfig::vace_1_3b().kind else { panic!("not VACE") };
    assert_eq!((layers.len(), layers.last()), (15, Some(&28)));
    let ModelKind::Vace { layers, .. } = WanConfig::vace_14b().kind else { panic!("not VACE") };
    assert_eq!((layers.len(), layers.last()), (8, Some(&35)));
}

#[test]
fn defaults_fit_their_models() {
    let rows = [
        (WanConfig::t2v_1_3b(), SamplingDefaults::t2v_1_3b()),
        (WanConfig::t2v_14b(), SamplingDefaults::t2v_14b()),
        (WanConfig::t2v_14b(), SamplingDefaults::t2i_14b()),
        (WanConfig::i2v_14b(), SamplingDefaults::i2v_14b_480p()),
        (WanConfig::i2v_14b(), SamplingDefaults::i2v_14b_720p()),
        (WanConfig::flf2v_14b(), SamplingDefaults::flf2v_14b()),
        (WanConfig::vace_1_3b(), SamplingDefaults::vace_1_3b()),
        (WanConfig::vace_14b(), SamplingDefaults::vace_14b()),
        (WanConfig::t2v_a14b(), SamplingDefaults::t2v_a14b()),
        (WanConfig::i2v_a14b(), SamplingDefaults::i2v_a14b()),
        (WanConfig::ti2v_5b(), SamplingDefaults::ti2v_5b()),
        (WanConfig::s2v_14b(), SamplingDefaults::s2v_14b()),
        (WanConfig::animate_14b(), SamplingDefaults::animate_14b()),
        (WanConfig::lingbot_base_cam(), SamplingDefaults::lingbot_base()),
        (WanConfig::lingbot_base_act(), SamplingDefaults::lingbot_base()),
        (WanConfig::lingbot_fast(), SamplingDefaults::lingbot_fast()),
        (WanConfig::lingbot_v2_14b(), SamplingDefaults::lingbot_v2_pretrain()),
        (WanConfig::lingbot_v2_1_3b(), SamplingDefaults::lingbot_fast()),
    ];
    for (config, defaults) in rows {
        assert_eq!(defaults.boundary.is_some(), config.experts == 2, "{config:?}");
        let strides = config.strides();
        for &(height, width) in defaults.sizes {
            assert!(strides.latent(config.out_dim, 1, height, width).is_ok(), "{height}x{width}");
        }
        // Speech is the one model whose clips are not counted with their first frame.
        let frames = defaults.frames + usize::from(config.kind == ModelKind::S2v);
        assert_eq!(strides.nearest_frames(frames).0, frames, "{config:?}");
    }
}

/// Steps, shift, guidance at low and high noise, boundary, frames per second, frames.
type Row = (usize, f64, (f64, f64), Option<f64>, usize, usize);

#[test]
fn models_are_sampled_as_the_official_command_lines_do() {
    let (small, large) = (Some(480 * 832), Some(720 * 1280));
    let fast = (4, 10.0, (1.0, 1.0), None, 16, 81);
    let lingbot = (70, 10.0, (5.0, 5.0), Some(0.947), 16, 81);
    let rows: [(WanConfig, Option<usize>, Row); 23] = [
        (WanConfig::t2v_14b(), None, (50, 5.0, (5.0, 5.0), None, 16, 81)),
        (WanConfig::t2v_1_3b(), None, (50, 5.0, (5.0, 5.0), None, 16, 81)),
        (WanConfig::t2v_1_3b(), small, (50, 5.0, (5.0, 5.0), None, 16, 81)),
        (WanConfig::i2v_14b(), None, (40, 3.0, (5.0, 5.0), None, 16, 81)),
        (WanConfig::i2v_14b(), small, (40, 3.0, (5.0, 5.0), None, 16, 81)),
        (WanConfig::i2v_14b(), Some(464 * 832), (40, 3.0, (5.0, 5.0), None, 16, 81)),
        (WanConfig::i2v_14b(), Some(480 * 832 + 1), (40, 5.0, (5.0, 5.0), None, 16, 81)),
        (WanConfig::i2v_14b(), large, (40, 5.0, (5.0, 5.0), None, 16, 81)),
        (WanConfig::flf2v_14b(), None, (50, 16.0, (5.0, 5.0), None, 16, 81)),
        (WanConfig::flf2v_14b(), small, (50, 16.0, (5.0, 5.0), None, 16, 81)),
        (WanConfig::vace_1_3b(), None, (50, 16.0, (5.0, 5.0), None, 16, 81)),
        (WanConfig::vace_14b(), None, (50, 16.0, (5.0, 5.0), None, 16, 81)),
        (WanConfig::t2v_a14b(), None, (40, 12.0, (3.0, 4.0), Some(0.875), 16, 81)),
        (WanConfig::i2v_a14b(), None, (40, 5.0, (3.5, 3.5), Some(0.9), 16, 81)),
        (WanConfig::i2v_a14b(), small, (40, 5.0, (3.5, 3.5), Some(0.9), 16, 81)),
        (WanConfig::ti2v_5b(), None, (50, 5.0, (5.0, 5.0), None, 24, 121)),
        (WanConfig::s2v_14b(), None, (40, 3.0, (4.5, 4.5), None, 16, 80)),
        (WanConfig::animate_14b(), None, (20, 5.0, (1.0, 1.0), None, 30, 77)),
        (WanConfig::lingbot_base_cam(), large, lingbot),
        (WanConfig::lingbot_base_act(), None, lingbot),
        (WanConfig::lingbot_fast(), None, fast),
        (WanConfig::lingbot_v2_14b(), None, fast),
        (WanConfig::lingbot_v2_1_3b(), None, fast),
    ];
    for (config, area, row) in rows {
        let SamplingDefaults { steps, shift, guidance, boundary, fps, frames, .. } =
            SamplingDefaults::of(&config, area);
        assert_eq!((steps, shift, guidance, boundary, fps, frames), row, "{:?} {area:?}", config.kind);
    }
}

#[test]
fn sizes_are_those_of_the_model() {
    let small = [(480, 832), (832, 480)];
    let large = [(720, 1280), (1280, 720)];
    let both = [small, large].concat();
    let rows = [
        (WanConfig::t2v_1_3b(), None, &small[..]),
        (WanConfig::vace_1_3b(), None, &small),
        (WanConfig::t2v_14b(), None, &both),
        (WanConfig::vace_14b(), None, &both),
        (WanConfig::i2v_14b(), None, &small),
        (WanConfig::i2v_14b(), Some(720 * 1280), &large),
        (WanConfig::ti2v_5b(), None, &[(704, 1280), (1280, 704)]),
    ];
    for (config, area, sizes) in rows {
        assert_eq!(SamplingDefaults::of(&config, area).sizes, sizes, "{:?} {area:?}", config.kind);
    }
}

#[test]
fn a_single_expert_has_no_boundary() {
    for config in [WanConfig::i2v_a14b(), WanConfig::lingbot_base_cam()] {
        let defaults = SamplingDefaults::of(&config, None);
        let single = SamplingDefaults::of(&WanConfig { experts: 1, ..config }, None);
        assert_eq!(single, SamplingDefaults { boundary: None, ..defaults });
    }
}

#[test]
fn images_condition_by_twenty_channels() {
    let none = [
        WanConfig::t2v_1_3b(),
        WanConfig::t2v_a14b(),
        WanConfig::ti2v_5b(),
        WanConfig::vace_1_3b(),
        WanConfig::s2v_14b(),
    ];
    let twenty = [
        WanConfig::i2v_14b(),
        WanConfig::flf2v_14b(),
        WanConfig::i2v_a14b(),
        WanConfig::lingbot_base_cam(),
        WanConfig::lingbot_base_act(),
        WanConfig::lingbot_fast(),
        WanConfig::lingbot_v2_1_3b(),
    ];
    assert!(none.iter().all(|config| config.condition_channels() == 0));
    assert!(twenty.iter().all(|config| config.condition_channels() == 20));
    let narrow = WanConfig { in_dim: 1, ..WanConfig::t2v_1_3b() };
    assert_eq!(narrow.condition_channels(), 0);
}
