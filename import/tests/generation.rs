//! Sampling defaults that a model's folder brings along.
#![allow(clippy::unwrap_used)]

use std::fs;

use tempfile::TempDir;
use wan_import::{GenerationConfig, ImportError};

fn read(text: &str) -> Result<GenerationConfig, ImportError> {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("generation_config.json"), text).unwrap();
    GenerationConfig::read(folder.path())
}

#[test]
fn what_the_file_sets_is_read_and_the_rest_is_absent() {
    let text =
        r#"{"width": 96, "height": 64, "fps": 12, "negative_prompt": "", "transformers_version": "5"}"#;
    let config = read(text).unwrap();
    assert_eq!(
        (config.size(), config.fps, config.negative_prompt.as_deref()),
        (Some((96, 64)), Some(12.0), Some(""))
    );
    assert_eq!((config.num_frames, config.num_inference_steps, config.guidance_scale), (None, None, None));
    let both = read(r#"{"guidance_scale": 4, "guidance_scale_2": 3}"#).unwrap();
    assert_eq!((both.guidance_scale, both.guidance_scale_2), (Some(4.0), Some(3.0)));
    assert_eq!(read(r#"{"width": 96}"#).unwrap().size(), None);
}

#[test]
fn no_file_sets_nothing() {
    assert_eq!(GenerationConfig::read(TempDir::new().unwrap().path()).unwrap(), GenerationConfig::default());
}

#[test]
fn a_file_that_is_wrong_is_refused_by_name() {
    for text in [
        "",
        "[1]",
        r#"{"width": -1}"#,
        r#"{"width": 1.5}"#,
        r#"{"fps": "12"}"#,
        r#"{"width": 1, "width": 2}"#,
    ] {
        let error = read(text).unwrap_err();
        assert!(matches!(error, ImportError::Config { .. }), "{text}: {error}");
        assert!(error.to_string().contains("generation_config.json"), "{error}");
    }
}
