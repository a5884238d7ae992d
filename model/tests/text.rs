//! Prompt cleaning and tokenization against diffusers and transformers.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::Value;
use testkit::Golden;
use wan_model::{
    ModelError, WanConfig,
    text::{MAX_PROMPT_BYTES, NEGATIVE_PROMPT, Tokenizer, clean, negative_prompt},
};

fn json(file: &str) -> Vec<Value> {
    serde_json::from_slice(&std::fs::read(Golden::path(file)).unwrap()).unwrap()
}

fn tokenizer_json() -> Vec<u8> {
    std::fs::read(Golden::path("tokenizer/tokenizer.json")).unwrap()
}

fn tokenizer() -> Tokenizer {
    Tokenizer::from_json(&tokenizer_json()).unwrap()
}

/// The file's settings with one change.
fn changed(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut settings = serde_json::from_slice(&tokenizer_json()).unwrap();
    change(&mut settings);
    serde_json::to_vec(&settings).unwrap()
}

#[test]
fn cleaning_matches_the_reference() {
    let pairs = json("cleaning.json");
    assert!(pairs.len() >= 150);
    let wrong: Vec<String> = pairs
        .iter()
        .map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str().unwrap()))
        .filter(|(text, expected)| clean(text) != *expected)
        .map(|(text, expected)| format!("{text:?}: {:?}, not {expected:?}", clean(text)))
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), pairs.len(), wrong.join("\n"));
}

#[test]
fn the_negative_prompt_gets_narrow_commas() {
    let cleaned = clean(NEGATIVE_PROMPT);
    assert_eq!(NEGATIVE_PROMPT.matches('，').count(), 27);
    assert_eq!(cleaned, NEGATIVE_PROMPT.replace('，', ","));
}

#[test]
fn every_task_has_its_negative_prompt() {
    let common = "色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，低质量，\
        JPEG压缩残留，丑陋的，残缺的，多余的手指，画得不好的手部，画得不好的脸部，畸形的，毁容的，\
        形态畸形的肢体，手指融合，静止不动的画面，杂乱的背景，三条腿，背景人很多，倒着走";
    let no_world = "镜头晃动，画面闪烁，模糊，噪点，水印，签名，文字，变形，扭曲，液化，不合逻辑的结构，卡顿，PPT幻灯片感，\
        过暗，欠曝，低对比度，霓虹灯光感，过度锐化，3D渲染感，人物，行人，游客，身体，皮肤，肢体，面部特征，\
        汽车，电线";
    for config in [
        WanConfig::t2v_1_3b(),
        WanConfig::t2v_14b(),
        WanConfig::vace_14b(),
        WanConfig::t2v_a14b(),
        WanConfig::i2v_a14b(),
        WanConfig::ti2v_5b(),
        WanConfig::animate_14b(),
    ] {
        assert_eq!(negative_prompt(&config.kind), common);
    }
    assert_eq!(negative_prompt(&WanConfig::i2v_14b().kind), format!("镜头晃动，{common}"));
    assert_eq!(negative_prompt(&WanConfig::flf2v_14b().kind), format!("镜头切换，镜头晃动，{common}"));
    for config in [WanConfig::lingbot_base_cam(), WanConfig::lingbot_base_act()] {
        assert_eq!(negative_prompt(&config.kind), format!("画面突变，{common}，{no_world}"));
    }
}

#[test]
fn deeply_escaped_text_ends_quickly() {
    let start = std::time::Instant::now();
    for text in ["&".to_owned() + &"amp;".repeat(4000) + "lt;", "é Ã©".repeat(2000), "\u{93}".repeat(8000)]
    {
        clean(&text);
    }
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn cleaned_text_has_single_spaces_only(text in "\\PC{0,40}|[ \\t\\n&;#a-zÂ-ï\u{80}-\u{ff}\u{3000}“”]{0,40}") {
        let cleaned = clean(&text);
        prop_assert_eq!(cleaned.trim(), cleaned.as_str());
        prop_assert!(!cleaned.contains("  ") && !cleaned.contains('\n'), "{:?}", cleaned);
    }

    #[test]
    fn ids_end_once_and_fit(text in "[a-zA-Z ,.中文猫\u{80}-\u{ff}]{0,200}", max_len in 1usize..64) {
        let ids = tokenizer().encode(&text, max_len).unwrap();
        prop_assert!(ids.len() <= max_len);
        prop_assert_eq!(ids.iter().filter(|&&id| id == 1).count(), 1);
        prop_assert_eq!(ids.last(), Some(&1));
    }

    #[test]
    fn damaged_tokenizers_are_refused_or_work(at in 0usize..16_000, byte in any::<u8>()) {
        let mut json = tokenizer_json();
        let at = at % json.len();
        json[at] = byte;
        if let Ok(tokenizer) = Tokenizer::from_json(&json) {
            let _ = tokenizer.encode("A cat 猫 😀", 512);
        }
    }

    #[test]
    fn noise_is_no_tokenizer(json in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Tokenizer::from_json(&json).is_err());
    }
}

#[test]
fn ids_match_transformers() {
    let (tokenizer, rows) = (tokenizer(), json("tokenizer/prompts.json"));
    assert!(rows.len() >= 40);
    for row in &rows {
        let prompt = row["prompt"].as_str().unwrap();
        let ids = tokenizer.encode(prompt, row["max_len"].as_u64().unwrap() as usize).unwrap();
        let ids: Vec<Value> = ids.into_iter().map(Value::from).collect();
        assert_eq!(Value::from(ids), row["ids"], "{prompt:?}");
    }
}

#[test]
fn the_end_token_is_added_with_and_without_a_template() {
    let without = Tokenizer::from_json(&changed(|file| file["post_processor"] = Value::Null)).unwrap();
    let expected = tokenizer().encode("A cat", 512).unwrap();
    assert_eq!(without.encode("A cat", 512).unwrap(), expected);
    assert_eq!(expected.iter().filter(|&&id| id == 1).count(), 1);
}

#[test]
fn padding_and_truncation_of_the_file_are_ignored() {
    let padded = changed(|file| {
        file["truncation"] = serde_json::json!({
            "direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0
        });
        file["padding"] = serde_json::json!({
            "strategy": {"Fixed": 20}, "direction": "Right", "pad_to_multiple_of": null,
            "pad_id": 0, "pad_type_id": 0, "pad_token": "<pad>"
        });
    });
    let padded = Tokenizer::from_json(&padded).unwrap();
    assert_eq!(padded.encode("A red car", 512).unwrap(), tokenizer().encode("A red car", 512).unwrap());
}

#[test]
fn too_short_a_limit_still_ends() {
    assert_eq!(tokenizer().encode("A cat", 0).unwrap(), [1]);
    assert_eq!(tokenizer().encode("A cat", 1).unwrap(), [1]);
}

#[test]
fn an_endless_prompt_is_refused() {
    let tokenizer = tokenizer();
    assert!(tokenizer.encode(&"a ".repeat(MAX_PROMPT_BYTES / 2), 512).is_ok());
    let error = tokenizer.encode(&"a".repeat(MAX_PROMPT_BYTES + 1), 512).unwrap_err();
    assert!(matches!(error, ModelError::PromptTooLong { bytes: 16_385, limit: MAX_PROMPT_BYTES }), "{error}");
}

#[test]
fn tokenizers_of_the_wrong_shape_are_refused() {
    let shapes: [fn(&mut Value); 9] = [
        |file| *file = Value::Null,
        |file| file["model"] = Value::Null,
        |file| file["model"]["type"] = "Unknown".into(),
        |file| file["model"]["unk_id"] = 1_000_000.into(),
        |file| file["model"]["vocab"] = Value::Array(Vec::new()),
        |file| file["model"]["vocab"][5] = "no pair".into(),
        |file| file["added_tokens"] = 7.into(),
        |file| {
            file["normalizer"] =
                serde_json::json!({"type": "Precompiled", "precompiled_charsmap": "/////w=="})
        },
        |file| file["pre_tokenizer"]["replacement"] = "too long".into(),
    ];
    for (index, shape) in shapes.into_iter().enumerate() {
        assert!(Tokenizer::from_json(&changed(shape)).is_err(), "shape {index}");
    }
}

#[test]
fn a_tokenizer_without_an_end_is_refused() {
    let renamed = String::from_utf8(tokenizer_json()).unwrap().replace("</s>", "<end>");
    let error = Tokenizer::from_json(renamed.as_bytes()).unwrap_err();
    assert!(matches!(error, ModelError::MissingToken { token: "</s>" }), "{error}");
}
