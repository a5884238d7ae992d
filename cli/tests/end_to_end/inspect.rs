//! What `wan inspect` says about checkpoints and other files.

use std::{fs, path::Path};

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

/// A folder of a layout with two transformers: copies of the toy one.
fn two_experts(bench: &Bench, [high, low]: [&str; 2]) -> String {
    let (toy, folder) = (tiny("diffusers"), bench.path("two"));
    for part in ["vae", "text_encoder", "tokenizer"] {
        copy(&toy.join(part), &folder.join(part));
    }
    for part in [high, low] {
        copy(&toy.join("transformer"), &folder.join(part));
    }
    fs::write(folder.join("model_index.json"), r#"{"boundary_ratio":0.9}"#).unwrap();
    folder.display().to_string()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn of_two_experts_it_says_which_is_which() {
    let bench = Bench::new();
    let folder = two_experts(&bench, ["transformer", "transformer_2"]);
    let model = inspected(&bench, &folder);
    for (key, noise, place) in
        [("transformer", "low", "transformer_2"), ("transformer_high", "high", "transformer")]
    {
        let part = &model[key];
        check(part, "t2v transformer", 41888, "F32", ("layers", 2));
        assert_eq!(part["noise"], noise);
        let path = Path::new(part["path"].as_str().unwrap());
        assert!(path.parent().unwrap().ends_with(place), "{part}");
        assert_eq!(part["released"], Value::Array(Vec::new()), "a toy is no released checkpoint");
    }
    assert_eq!(model["boundary_ratio"], 0.9);
    fs::remove_dir_all(Path::new(&folder).join("transformer_2/")).unwrap();
    let single = inspected(&bench, &folder);
    assert!(single.get("transformer_high").is_none() && single["transformer"].get("noise").is_none());
}

#[test]
fn released_checkpoints_are_named() {
    let bench = Bench::new();
    let path = bench.path("wan.safetensors");
    write_zeros(&path, &t2v_1_3b());
    let part = inspected(&bench, "wan.safetensors");
    assert_eq!(part["released"], serde_json::json!(["Wan-AI/Wan2.1-T2V-1.3B"]), "{part}");
    let text = bench.wan(&["inspect", "wan.safetensors"]).good().stdout;
    assert!(text.contains("released: Wan-AI/Wan2.1-T2V-1.3B"), "{text}");
}

/// Keys and shapes of Wan 2.1's small transformer.
fn t2v_1_3b() -> Vec<(String, Vec<u64>)> {
    let (d, ffn) = (1536, 8960);
    let mut tensors = vec![("head.modulation".to_owned(), vec![1, 2, d])];
    let mut linear = |name: String, shape: &[u64]| {
        tensors.push((format!("{name}.bias"), vec![shape[0]]));
        tensors.push((format!("{name}.weight"), shape.to_vec()));
    };
    linear("patch_embedding".into(), &[d, 16, 1, 2, 2]);
    linear("head.head".into(), &[64, d]);
    linear("text_embedding.0".into(), &[d, 4096]);
    linear("time_embedding.0".into(), &[d, 256]);
    for n in 0..30 {
        linear(format!("blocks.{n}.norm3"), &[d]);
        linear(format!("blocks.{n}.ffn.0"), &[ffn, d]);
    }
    tensors
}

/// A safetensors file of zeros, which a file system keeps as a hole.
fn write_zeros(path: &Path, tensors: &[(String, Vec<u64>)]) {
    let mut end = 0;
    let header = tensors.iter().map(|(name, shape)| {
        let start = end;
        end += 2 * shape.iter().product::<u64>();
        format!(r#""{name}":{{"dtype":"BF16","shape":{shape:?},"data_offsets":[{start},{end}]}}"#)
    });
    let header = format!("{{{}}}", header.collect::<Vec<_>>().join(","));
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    fs::write(path, &file).unwrap();
    fs::OpenOptions::new().write(true).open(path).unwrap().set_len(file.len() as u64 + end).unwrap();
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
