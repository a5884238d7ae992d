//! `wan bench`: rows whose figures fit together.

use serde_json::Value;

use crate::bench::{Bench, tiny};

fn lines(args: &[&str]) -> Vec<Value> {
    let ended = Bench::new().wan(&[&["bench", "kernels", "--device", "cpu", "--json"], args].concat()).good();
    ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn figure(row: &Value, name: &str) -> f64 {
    let value = row[name].as_f64().unwrap_or_else(|| panic!("{name} in {row}"));
    assert!(value.is_finite() && value > 0.0, "{name} in {row}");
    value
}

#[test]
fn rows_say_what_was_timed_and_beside_what() {
    let lines = lines(&["--only", "guidance", "--seconds", "0.05"]);
    let [heading, peak, row] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!((&heading["device"], &heading["version"]), (&"cpu".into(), &env!("CARGO_PKG_VERSION").into()));
    let memory = figure(peak, "memory_gigabytes_per_second");
    figure(peak, "matmul_gflop_per_second");
    assert_eq!((&row["operation"], &row["dtype"]), (&"guidance_step".into(), &"f32".into()));
    let (seconds, rate) = (figure(row, "median_seconds"), figure(row, "gigabytes_per_second"));
    let bytes = 4.0 * 4.0 * (16 * 21 * 60 * 104) as f64;
    assert!((rate * seconds * 1e9 / bytes - 1.0).abs() < 1e-6, "{row}");
    assert!((figure(row, "share_of_peak") * memory / rate - 1.0).abs() < 1e-6, "{row}");
    let faster = figure(row, "reference_seconds") / seconds;
    assert!((figure(row, "faster_than_reference") / faster - 1.0).abs() < 1e-6, "{row}");
    assert!(row["gflop_per_second"].is_null(), "it only moves memory: {row}");
}

#[test]
fn sizes_that_take_too_long_are_left_out_and_told() {
    let lines = lines(&["--only", "rope_attention", "--seconds", "0.0001"]);
    assert_eq!(lines.len(), 2 + 2 * 6, "every size has its line");
    for line in &lines[2..] {
        assert!(line["left_out"].as_str().unwrap().starts_with("a call would take about"), "{line}");
    }
}

#[test]
fn an_unknown_benchmark_is_refused() {
    let ended = Bench::new().wan(&["bench", "everything"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
}

/// The rows of a measurement of networks, without the device's own line.
fn rows(args: &[&str]) -> Vec<Value> {
    let ended =
        Bench::new().wan(&[&["bench"], args, &["--device", "cpu", "--json", "--quiet"]].concat()).good();
    assert_eq!(ended.stderr, "");
    let mut lines = ended.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    assert_eq!(lines.next().unwrap()["device"], "cpu");
    lines.collect()
}

fn near(found: f64, expected: f64) {
    assert!((found / expected - 1.0).abs() < 1e-6, "{found} is not {expected}");
}

const ONE_BLOCK: [&str; 9] =
    ["step", "--preset", "t2v-1.3b", "--blocks", "1", "--runs", "2", "--forwards", "2"];

#[test]
fn a_step_on_random_weights_has_its_length_its_forwards_and_its_share_of_the_peak() {
    let lines =
        rows(&[&ONE_BLOCK[..], &["--tokens", "24", "--quant", "none,int8", "--steps", "10"]].concat());
    let [peak, exact, quantized] = &lines[..] else { panic!("{lines:?}") };
    let (l, d, f, k) = (24.0, 1536.0, 8960.0, 512.0);
    let block = 12.0 * l * d * d + 4.0 * l * l * d + 4.0 * l * k * d + 4.0 * l * d * f;
    for row in [exact, quantized] {
        assert_eq!(
            (&row["tokens"], &row["forwards"], &row["camera"]),
            (&24.into(), &2.into(), &false.into())
        );
        assert_eq!((&row["blocks"], &row["of_blocks"]), (&1.into(), &30.into()));
        let steps: Vec<f64> =
            row["step_seconds"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
        let median = figure(row, "median_step_seconds");
        assert!(steps.len() == 2 && steps.contains(&median), "{row}");
        near(figure(row, "tflop"), 2.0 * block / 1e12);
        near(figure(row, "tflop_per_second"), 2.0 * block / 1e12 / median);
        near(
            figure(row, "share_of_peak") * figure(peak, "matmul_gflop_per_second"),
            2.0 * block / 1e9 / median,
        );
        assert_eq!(row["extrapolated"], true);
        near(figure(row, "full_depth_step_seconds"), 30.0 * median);
        near(figure(row, "total_seconds"), 300.0 * median);
        figure(row, "first_seconds");
        figure(row, "prepare_seconds");
    }
    assert_eq!((&exact["quant"], &quantized["quant"]), (&"none".into(), &"int8".into()));
    let faster = figure(exact, "median_step_seconds") / figure(quantized, "median_step_seconds");
    near(figure(quantized, "speed_up"), faster);
    assert!(exact["speed_up"].is_null());
}

#[test]
fn lengths_that_take_too_long_are_left_out_and_told() {
    let lines = rows(&[&ONE_BLOCK[..], &["--limit", "0.001"]].concat());
    let tokens: Vec<_> = lines[1..].iter().map(|line| line["tokens"].as_u64().unwrap()).collect();
    assert_eq!(tokens, [780, 1_170, 2_340, 4_290, 16_588, 17_160, 32_760]);
    for line in &lines[1..] {
        assert!(line["left_out"].as_str().unwrap().contains("steps would take about"), "{line}");
    }
}

#[test]
fn the_camera_counts_where_it_is_computed_in_every_pass() {
    let model = testkit::Golden::path("tiny_tasks").join("lingbot/low_noise_model").display().to_string();
    let tflop = |flags: &[&str]| {
        let lines = rows(&[&["step", "--model", &model, "--tokens", "12", "--runs", "1"], flags].concat());
        let row = &lines[1];
        assert_eq!(row["extrapolated"], false);
        (figure(row, "tflop"), row["camera"].clone(), row["camera_blocks_kept"].clone())
    };
    let (every, kept, off) = (tflop(&["--camera-kept", "0"]), tflop(&[]), tflop(&["--no-camera"]));
    assert!(every.0 > kept.0 && kept.0 == off.0, "{every:?} {kept:?} {off:?}");
    assert_eq!((&every.1, &every.2), (&true.into(), &0.into()));
    assert_eq!((&kept.1, &off.1, &off.2), (&true.into(), &false.into(), &0.into()));
    assert!(kept.2.as_u64().unwrap() > 0);
}

#[test]
fn a_vae_is_timed_in_both_directions() {
    let model = tiny("diffusers").display().to_string();
    let lines = rows(&["vae", "--model", &model, "--size", "32x48", "--frames", "5", "--runs", "1"]);
    let [decode, encode] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!((&decode["what"], &encode["what"]), (&"decode".into(), &"encode".into()));
    for row in [decode, encode] {
        assert_eq!(row["video"], "32x48x5");
        near(figure(row, "seconds_per_frame"), figure(row, "median_seconds") / 5.0);
        near(figure(row, "megapixels_per_second"), 32.0 * 48.0 * 5.0 / 1e6 / figure(row, "median_seconds"));
    }
}

#[test]
fn loading_is_timed_for_every_component_and_form() {
    let model = tiny("diffusers").display().to_string();
    let lines = rows(&["load", "--model", &model, "--dtype", "f16", "--runs", "1"]);
    let components: Vec<_> = lines.iter().map(|row| row["component"].as_str().unwrap()).collect();
    assert_eq!(components, ["transformer", "VAE", "text encoder"]);
    let weights = tiny("diffusers").join("transformer/diffusion_pytorch_model.safetensors");
    let (held, file) = (figure(&lines[0], "file_bytes"), std::fs::metadata(weights).unwrap().len() as f64);
    assert!(held < file && file - held < 65_536.0, "{held} of {file}");
    assert_eq!((&lines[0]["dtype"], &lines[1]["dtype"]), (&"f16".into(), &"f32".into()));
    near(figure(&lines[0], "gigabytes_per_second"), held / 1e9 / figure(&lines[0], "median_seconds"));
}

#[test]
fn a_presets_file_is_written_loaded_and_removed() {
    let bench = Bench::new();
    let args = ["bench", "load", "--blocks", "1", "--folder", ".", "--runs", "1", "--warmup", "0"];
    let ended = bench.wan(&[&args[..], &["--device", "cpu", "--json"]].concat()).good();
    let row: Value = serde_json::from_str(ended.stdout.lines().nth(1).unwrap()).unwrap();
    assert_eq!((&row["model"], &row["component"]), (&"t2v-1.3b".into(), &"transformer".into()));
    // A block of 1.3B and what stands around the blocks, two bytes each.
    assert_eq!(figure(&row, "file_bytes"), 2.0 * (46_440_704.0 + 25_775_680.0), "{row}");
    assert!(bench.left().is_empty(), "{:?}", bench.left());
}

#[test]
fn impossible_measurements_are_refused() {
    let bench = Bench::new();
    bench.wan(&["bench", "step", "--preset", "absent"]).refused("invalid value 'absent'", "");
    let video = ["bench", "step", "--size", "832x480", "--frames", "42", "--device", "cpu"];
    bench.wan(&video).refused("42 frames are not 1 more than a multiple of 4", "use --frames 41 or 45");
    let odd = ["bench", "vae", "--size", "100x64", "--device", "cpu"];
    bench.wan(&odd).refused("100x64 is not a multiple of 8x8", "use --size 104x64");
    bench.wan(&["bench", "step", "--model", "absent", "--device", "cpu"]).refused("absent", "");
    let nowhere = ["bench", "load", "--folder", "absent", "--device", "cpu"];
    bench.wan(&nowhere).refused("nothing can be written to absent", "--folder");
}

#[test]
fn a_pass_is_taken_apart() {
    let model = testkit::Golden::path("tiny_tasks").join("lingbot/low_noise_model").display().to_string();
    let bench = Bench::new();
    let args = ["profile", "--model", &model, "--tokens", "12", "--camera-kept", "0", "--runs", "2"];
    let ended = bench.wan(&[&args[..], &["--device", "cpu", "--json", "--quiet"]].concat()).good();
    let profile: Value = serde_json::from_str(ended.stdout.lines().nth(1).unwrap()).unwrap();
    let parts = profile["parts"].as_array().unwrap();
    let named =
        |name: &str| parts.iter().find(|part| part["name"] == name).unwrap_or_else(|| panic!("{name}"));
    for name in ["feed-forward", "self-attention", "cross-attention", "camera layers", "norm and modulation"]
    {
        assert!(named(name)["of"].is_null() && named(name)["seconds"].as_f64().unwrap() > 0.0, "{name}");
    }
    assert_eq!((&named("attention")["of"], &named("head")["of"]), (&"self-attention".into(), &Value::Null));
    let outermost = parts.iter().filter(|part| part["of"].is_null());
    near(outermost.map(|part| part["share"].as_f64().unwrap()).sum(), 1.0);
    let blocks = profile["block_seconds"].as_array().unwrap();
    assert_eq!(blocks.len() as u64, profile["blocks"].as_u64().unwrap());
    assert!(blocks.iter().all(|seconds| seconds.as_f64().unwrap() > 0.0), "{profile}");
    let text = bench.wan(&[&args[..], &["--device", "cpu"]].concat()).good().stdout;
    assert!(text.contains("feed-forward") && text.contains("blocks, s:"), "{text}");
}
