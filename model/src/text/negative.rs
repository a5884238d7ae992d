//! The negative prompts the networks were tuned with.

use std::borrow::Cow;

use crate::config::ModelKind;

/// Stands in for an empty negative prompt in every Wan 2.1 and 2.2 text-to-video task, and is a part of it in others.
/// <https://github.com/Wan-Video/Wan2.1/blob/9737cba/wan/configs/shared_config.py>
pub const NEGATIVE_PROMPT: &str = "色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，低质量，JPEG压缩残留，丑陋的，残缺的，多余的手指，画得不好的手部，画得不好的脸部，畸形的，毁容的，形态畸形的肢体，手指融合，静止不动的画面，杂乱的背景，三条腿，背景人很多，倒着走";

/// What pictures that begin to move must not do: shake the camera.
const SHAKE: &str = "镜头晃动，";

/// What a film between two pictures must not do: cut.
const CUT: &str = "镜头切换，";

/// What a walk through a world must not do: change of a sudden.
const JUMP: &str = "画面突变，";

/// What does not belong in a world to walk through.
/// <https://github.com/Robbyant/lingbot-world>
const NO_WORLD: &str = "，镜头晃动，画面闪烁，模糊，噪点，水印，签名，文字，变形，扭曲，液化，不合逻辑的结构，卡顿，PPT幻灯片感，过暗，欠曝，低对比度，霓虹灯光感，过度锐化，3D渲染感，人物，行人，游客，身体，皮肤，肢体，面部特征，汽车，电线";

/// What stands in for an empty negative prompt, by what the model is conditioned on. Speech has a text of its own that
/// is not here, and gets the common one.
pub fn negative_prompt(kind: &ModelKind) -> Cow<'static, str> {
    match kind {
        ModelKind::ClipI2v { .. } => format!("{SHAKE}{NEGATIVE_PROMPT}").into(),
        ModelKind::Flf2v { .. } => format!("{CUT}{SHAKE}{NEGATIVE_PROMPT}").into(),
        ModelKind::LingBot { .. } => format!("{JUMP}{NEGATIVE_PROMPT}{NO_WORLD}").into(),
        ModelKind::T2v
        | ModelKind::I2v
        | ModelKind::Vace { .. }
        | ModelKind::Ti2v
        | ModelKind::S2v
        | ModelKind::Animate => NEGATIVE_PROMPT.into(),
    }
}
