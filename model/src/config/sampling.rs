//! Sampling defaults of the official command lines.

use super::{ModelKind, WanConfig};

/// `(height, width)` in pixels, both orientations of 480p and 720p.
const BOTH: &[(usize, usize)] = &[(480, 832), (832, 480), (720, 1280), (1280, 720)];
const SMALL: &[(usize, usize)] = &[(480, 832), (832, 480)];
const LARGE: &[(usize, usize)] = &[(720, 1280), (1280, 720)];
const SQUARE: &[(usize, usize)] = &[(480, 832), (832, 480), (720, 1280), (1280, 720), (1024, 1024)];
const TI2V: &[(usize, usize)] = &[(704, 1280), (1280, 704)];
const S2V: &[(usize, usize)] =
    &[(480, 832), (832, 480), (720, 1280), (1280, 720), (704, 1024), (1024, 704), (704, 1280), (1280, 704)];

/// What a model is sampled with unless told otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct SamplingDefaults {
    /// Network steps; per chunk for causal models.
    pub steps: usize,
    /// Of the noise schedule.
    pub shift: f64,
    /// Guidance scales at low and at high noise; 1 means no unconditional pass.
    pub guidance: (f64, f64),
    /// Timestep / 1000 from which on the high-noise expert works.
    pub boundary: Option<f64>,
    /// Frames per second.
    pub fps: usize,
    /// Pixel frames; per clip for speech and animation.
    pub frames: usize,
    /// `(height, width)` the model was trained for; for image models only the area counts.
    pub sizes: &'static [(usize, usize)],
}

/// Pixels of a frame at 480p.
const AREA_480P: usize = 480 * 832;

impl SamplingDefaults {
    /// The defaults of a model, for Wan 2.1 I2V those at 480p or, where the video's frames have a larger `area` in
    /// pixels, those at 720p. Two models of the same dimensions are not told apart: text to image has those of text to
    /// video, LingBot-World 2 before distillation those after it. A single expert has no boundary.
    pub fn of(config: &WanConfig, area: Option<usize>) -> Self {
        let defaults = match &config.kind {
            ModelKind::T2v if config.experts == 2 => Self::t2v_a14b(),
            ModelKind::T2v if config.is_small() => Self::t2v_1_3b(),
            ModelKind::T2v => Self::t2v_14b(),
            ModelKind::ClipI2v { .. } if area.unwrap_or(AREA_480P) <= AREA_480P => Self::i2v_14b_480p(),
            ModelKind::ClipI2v { .. } => Self::i2v_14b_720p(),
            ModelKind::Flf2v { .. } => Self::flf2v_14b(),
            ModelKind::I2v => Self::i2v_a14b(),
            ModelKind::Vace { .. } if config.is_small() => Self::vace_1_3b(),
            ModelKind::Vace { .. } => Self::vace_14b(),
            ModelKind::Ti2v => Self::ti2v_5b(),
            ModelKind::S2v => Self::s2v_14b(),
            ModelKind::Animate => Self::animate_14b(),
            ModelKind::LingBot { causal: true, .. } => Self::lingbot_fast(),
            ModelKind::LingBot { causal: false, .. } => Self::lingbot_base(),
        };
        Self { boundary: defaults.boundary.filter(|_| config.experts == 2), ..defaults }
    }

    /// Wan 2.1 T2V 14B.
    pub fn t2v_14b() -> Self {
        Self { steps: 50, shift: 5.0, guidance: (5.0, 5.0), boundary: None, fps: 16, frames: 81, sizes: BOTH }
    }

    /// Wan 2.1 T2V 1.3B; its authors also advise a shift of 8 to 12 and a guidance of 6.
    pub fn t2v_1_3b() -> Self {
        Self { sizes: SMALL, ..Self::t2v_14b() }
    }

    /// Wan 2.1 T2V 14B for one image.
    pub fn t2i_14b() -> Self {
        Self { frames: 1, sizes: SQUARE, ..Self::t2v_14b() }
    }

    /// Wan 2.1 I2V 14B at 480p.
    pub fn i2v_14b_480p() -> Self {
        Self { shift: 3.0, sizes: SMALL, ..Self::i2v_14b_720p() }
    }

    /// Wan 2.1 I2V 14B at 720p.
    pub fn i2v_14b_720p() -> Self {
        Self { steps: 40, sizes: LARGE, ..Self::t2v_14b() }
    }

    /// Wan 2.1 FLF2V 14B.
    pub fn flf2v_14b() -> Self {
        Self { shift: 16.0, ..Self::t2v_14b() }
    }

    /// Wan 2.1 VACE 1.3B.
    pub fn vace_1_3b() -> Self {
        Self { sizes: SMALL, ..Self::vace_14b() }
    }

    /// Wan 2.1 VACE 14B.
    pub fn vace_14b() -> Self {
        Self { shift: 16.0, ..Self::t2v_14b() }
    }

    /// Wan 2.2 T2V A14B.
    pub fn t2v_a14b() -> Self {
        Self { steps: 40, shift: 12.0, guidance: (3.0, 4.0), boundary: Some(0.875), ..Self::t2v_14b() }
    }

    /// Wan 2.2 I2V A14B.
    pub fn i2v_a14b() -> Self {
        Self { steps: 40, guidance: (3.5, 3.5), boundary: Some(0.9), ..Self::t2v_14b() }
    }

    /// Wan 2.2 TI2V 5B.
    pub fn ti2v_5b() -> Self {
        Self { fps: 24, frames: 121, sizes: TI2V, ..Self::t2v_14b() }
    }

    /// Wan 2.2 S2V 14B.
    pub fn s2v_14b() -> Self {
        Self { steps: 40, shift: 3.0, guidance: (4.5, 4.5), frames: 80, sizes: S2V, ..Self::t2v_14b() }
    }

    /// Wan 2.2 Animate 14B.
    pub fn animate_14b() -> Self {
        Self { steps: 20, guidance: (1.0, 1.0), fps: 30, frames: 77, sizes: LARGE, ..Self::t2v_14b() }
    }

    /// LingBot-World base, camera and action.
    pub fn lingbot_base() -> Self {
        Self { steps: 70, shift: 10.0, boundary: Some(0.947), ..Self::t2v_14b() }
    }

    /// LingBot-World fast, first and second generation.
    pub fn lingbot_fast() -> Self {
        Self { steps: 4, shift: 10.0, guidance: (1.0, 1.0), ..Self::t2v_14b() }
    }

    /// LingBot-World 2 before distillation.
    pub fn lingbot_v2_pretrain() -> Self {
        Self { steps: 40, shift: 10.0, ..Self::t2v_14b() }
    }
}
