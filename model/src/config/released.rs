//! Which released checkpoints a transformer's file may be of.

use super::{ModelKind, WanConfig};

/// Names on Hugging Face.
type Names = &'static [&'static str];

/// The released checkpoints, by the preset they share.
const RELEASED: [(fn() -> WanConfig, Names); 13] = [
    (WanConfig::t2v_1_3b, &["Wan-AI/Wan2.1-T2V-1.3B"]),
    (WanConfig::t2v_14b, &["Wan-AI/Wan2.1-T2V-14B", "Wan-AI/Wan2.2-T2V-A14B"]),
    (WanConfig::i2v_14b, &["Wan-AI/Wan2.1-I2V-14B-480P", "Wan-AI/Wan2.1-I2V-14B-720P"]),
    (WanConfig::flf2v_14b, &["Wan-AI/Wan2.1-FLF2V-14B-720P"]),
    (WanConfig::vace_1_3b, &["Wan-AI/Wan2.1-VACE-1.3B"]),
    (WanConfig::vace_14b, &["Wan-AI/Wan2.1-VACE-14B"]),
    (WanConfig::i2v_a14b, &["Wan-AI/Wan2.2-I2V-A14B"]),
    (WanConfig::ti2v_5b, &["Wan-AI/Wan2.2-TI2V-5B"]),
    (WanConfig::s2v_14b, &["Wan-AI/Wan2.2-S2V-14B"]),
    (WanConfig::animate_14b, &["Wan-AI/Wan2.2-Animate-14B"]),
    (
        WanConfig::lingbot_base_cam,
        &[
            "robbyant/lingbot-world-base-cam",
            "robbyant/lingbot-world-fast",
            "robbyant/lingbot-world-v2-14b-causal-fast",
        ],
    ),
    (WanConfig::lingbot_base_act, &["LingBot-World-Base (Act)"]),
    (WanConfig::lingbot_v2_1_3b, &["robbyant/lingbot-world-v2-1.3b-causal-fast"]),
];

impl WanConfig {
    /// The released checkpoints whose transformers have this shape; none for a shape of one's own. What no file shows
    /// does not count: how many experts the model has, and whether it runs chunk by chunk.
    pub fn released(&self) -> &'static [&'static str] {
        let shown = self.shown();
        let mut presets = RELEASED.iter();
        presets.find(|(preset, _)| preset().shown() == shown).map_or(&[], |(_, names)| names)
    }

    /// The configuration as far as keys and shapes can show it.
    fn shown(&self) -> Self {
        let kind = match self.kind {
            ModelKind::LingBot { control_dim, .. } => ModelKind::LingBot { control_dim, causal: false },
            ref kind => kind.clone(),
        };
        Self { kind, experts: 1, ..self.clone() }
    }
}
