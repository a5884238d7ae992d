//! What `wan inspect` says about checkpoints and other files.

use std::fs;

use serde_json::Value;
use testkit::Golden;

use crate::bench::{Bench, tiny};

fn inspected(bench: &Bench, path: &str) -> Value {
    let ended = bench.wan(&["inspect", path, "--json"]).good();
    assert!(ended.stderr.is_empty(), "{}", ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap()
}

fn check(part: &Value, what: &str, parameters: u64, dtype: &str, dimension: (&str, u64)) {
    assert!(part["what"].as_str().unwrap().contains(what), "{part}");
    assert_eq!(part["parameters"], parameters, "{part}");
    assert!(part["dtypes"][dtype].as_u64().is_some_and(|tensors| tensors > 0), "{part}");
    assert_eq!(part["dtypes"].as_object().unwrap().len(), 1, "{part}");
    assert_eq!(part["dimensions"][dimension.0], dimension.1, "{part}");
    let width = if dtype == "BF16" { 2 } else { 4 };
    assert_eq!(part["bytes"], parameters * width, "{part}");
}

#[test]
fn folders_of_both_layouts_are_described() {
    let bench = Bench::new();
    for (layout, text_dtype) in [("diffusers", "F32"), ("official", "BF16")] {
        let folder = tiny(layout).display().to_string();
        let model = inspected(&bench, &folder);
        assert_eq!(model["layout"], layout);
        check(&model["transformer"], "t2v transformer", 41888, "F32", ("layers", 2));
        check(&model["vae"], "Wan 2.1 VAE", 243_583, "F32", ("z_dim", 16));
        check(&model["text_encoder"], "umT5", 40000, text_dtype, ("d_model", 32));
        let text = bench.wan(&["inspect", &folder]).good().stdout;
        assert!(text.contains("what: the Wan 2.1 VAE") && text.contains("parameters: 41888"), "{text}");
    }
}

#[test]
fn one_component_is_described() {
    let bench = Bench::new();
    let file = |path: &str| Golden::path("tiny").join(path).display().to_string();
    let dit = file("diffusers/transformer");
    check(&inspected(&bench, &dit), "t2v transformer", 41888, "F32", ("dim", 32));
    let vae = file("official/Wan2.1_VAE.pth");
    check(&inspected(&bench, &vae), "VAE", 243_583, "F32", ("base_dim", 4));
}

#[test]
fn other_files_are_refused() {
    let bench = Bench::new();
    let cases: [(&str, &[u8]); 6] = [
        ("empty.safetensors", b""),
        ("garbage.safetensors", b"\xff\xff\xff\xff\xff\xff\xff\x7f{}"),
        ("garbage.pth", b"PK\x03\x04 not a zip"),
        ("garbage.gguf", b"GGUF"),
        ("text.txt", b"hello"),
        ("film.mp4", b"\0\0\0\x18ftypisom"),
    ];
    for (name, bytes) in cases {
        fs::write(bench.path(name), bytes).unwrap();
        bench.wan(&["inspect", name, "--json"]).refused(name, "");
    }
    fs::create_dir(bench.path("nothing")).unwrap();
    bench.wan(&["inspect", "nothing"]).refused("nothing", "");
}
