//! Pictures, experts and camera paths on the command line: what is made, what is said, what is refused.

use std::fs;

use image::RgbImage;
use serde_json::Value;
use testkit::Golden;

use crate::bench::{ABSENT, Bench, Ended, tiny};

/// A bench with two pictures and a camera path.
fn bench() -> Bench {
    let bench = Bench::new();
    let golden = Golden::load("tasks_i2v_a14b");
    for (file, key) in [("first.png", "picture"), ("last.png", "last_picture")] {
        let (shape, values) = golden.get(key);
        let bytes = values.iter().map(|&v| v as u8).collect();
        RgbImage::from_raw(shape[1] as u32, shape[0] as u32, bytes).unwrap().save(bench.path(file)).unwrap();
    }
    bench.wan(&["camera", "make", "-o", "walk", "--frames", "11", "forward 2, left 30deg"]).good();
    bench
}

/// `generate` with a tiny checkpoint of `case`; the flags are added to those of the golden runs.
fn generate(bench: &Bench, case: &str, flags: &[(&str, &str)], switches: &[&str]) -> Ended {
    let part = |name: &str| tiny("diffusers").join(name).display().to_string();
    let model = Golden::path("tiny_tasks").join(case).display().to_string();
    let parts = [part("vae"), part("text_encoder"), part("tokenizer")];
    let clip = Golden::path("tiny_tasks").join("i2v_clip/image_encoder").display().to_string();
    let mut common = vec![
        ("--model", model.as_str()),
        ("--vae", &parts[0]),
        ("--text-encoder", &parts[1]),
        ("--tokenizer", &parts[2]),
        ("--noise", ABSENT),
        ("--steps", "3"),
        ("--seed", "1"),
    ];
    match case {
        "ti2v" => common.retain(|(flag, _)| *flag != "--vae"),
        "i2v_clip" | "flf2v" => common.push(("--image-encoder", &clip)),
        _ => {}
    }
    common.extend_from_slice(flags);
    bench.generate(&common, switches)
}

fn report(ended: Ended) -> Value {
    serde_json::from_str(&ended.good().stdout).unwrap()
}

fn notes(report: &Value) -> String {
    report["notes"].to_string()
}

#[test]
fn an_image_decides_the_size_of_an_area() {
    let bench = bench();
    // 61x45 pixels of about the area of a 48x36 frame.
    let flags =
        [("--image", "first.png"), ("--size", ABSENT), ("--area", "48x36"), ("--schedule", "official")];
    let report = report(generate(&bench, "i2v_clip", &flags, &["--json"]));
    assert_eq!((&report["width"], &report["height"]), (&48.into(), &32.into()));
    assert!(notes(&report).contains("48x32, from the image's proportions"), "{report}");
    assert!(report["seconds"]["image"].as_f64().is_some_and(|s| s > 0.0), "{report}");
}

#[test]
fn experts_and_their_steps_are_told() {
    let bench = bench();
    let flags =
        [("--image", "first.png"), ("--last-image", "last.png"), ("--task", "flf2v"), ("--steps", "6")];
    let report = report(generate(&bench, "i2v_a14b", &flags, &["--json"]));
    let notes = notes(&report);
    assert!(notes.contains("high noise, steps 1 to 3") && notes.contains("transformer/diffusion"), "{notes}");
    assert!(
        notes.contains("low noise, steps 4 to 6") && notes.contains("transformer_2/diffusion"),
        "{notes}"
    );
    assert_eq!(report["step_seconds"].as_array().unwrap().len(), 6);
    assert_eq!(report["warnings"], Value::Array(Vec::new()));
}

#[test]
fn swapped_experts_are_suspected_by_their_names() {
    let bench = bench();
    let expert = |name: &str| Golden::path("tiny_tasks").join("lingbot").join(name).display().to_string();
    let (high, low) = (expert("high_noise_model"), expert("low_noise_model"));
    let flags = [("--image", "first.png"), ("--dit", high.as_str()), ("--dit-high", low.as_str())];
    let report = report(generate(&bench, "lingbot", &flags, &["--json"]));
    assert!(report["warnings"].to_string().contains("the other way round"), "{report}");
}

#[test]
fn a_world_is_as_long_as_its_camera_path() {
    let bench = bench();
    let flags = [("--image", "first.png"), ("--camera", "walk"), ("--task", "world"), ("--frames", "81")];
    let report = report(generate(&bench, "lingbot", &flags, &["--json"]));
    assert_eq!(report["frames"], 9);
    let notes = notes(&report);
    assert!(notes.contains("9 frames instead of 81: the camera path has 11 poses"), "{notes}");
}

/// A checkpoint, flags, and parts of the error and of the hint.
type Refused<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str, &'a str);

#[test]
fn missing_and_unfit_inputs_are_named() {
    let bench = bench();
    fs::write(bench.path("broken.png"), b"\x89PNG\r\n\x1a\n").unwrap();
    fs::create_dir(bench.path("empty")).unwrap();
    bench.wan(&["camera", "make", "-o", "short", "--frames", "5", "forward 1"]).good();
    truncate_poses(&bench, "short", 3);
    bench.wan(&["camera", "make", "-o", "bent", "--frames", "9", "forward 1"]).good();
    bend_pose(&bench, "bent");
    let cases: &[Refused] = &[
        ("i2v_clip", &[], "i2v needs an image", "add --image FILE"),
        ("i2v_a14b", &[], "i2v needs an image", "add --image FILE"),
        ("lingbot", &[("--camera", "walk")], "world needs an image", "add --image FILE"),
        ("flf2v", &[("--image", "first.png")], "flf2v needs a last image", "add --last-image FILE"),
        ("t2v_a14b", &[("--image", "first.png")], "t2v takes no image", "leave --image out"),
        (
            "i2v_clip",
            &[("--image", "first.png"), ("--camera", "walk")],
            "i2v takes no camera path",
            "--camera",
        ),
        (
            "i2v_clip",
            &[("--image", "first.png"), ("--task", "world")],
            "not for world, but for i2v",
            "--task auto",
        ),
        ("i2v_clip", &[("--image", "broken.png")], "broken.png", "png, jpeg, webp or gif"),
        ("i2v_clip", &[("--image", "first.png"), ("--boundary", "0.5")], "one transformer", "leave it out"),
        ("flf2v", &[("--image-encoder", ABSENT)], "no CLIP image encoder", "--image-encoder"),
        (
            "lingbot",
            &[("--image", "first.png"), ("--camera", "empty")],
            "neither poses.npy",
            "wan camera make",
        ),
        ("lingbot", &[("--image", "first.png"), ("--camera", "short")], "too short: 3 poses", "4n+1"),
        (
            "lingbot",
            &[("--image", "first.png"), ("--camera", "bent")],
            "pose 2 is not rigid",
            "camera-to-world",
        ),
        ("ti2v", &[("--size", "48x32")], "48x32 is not a multiple of 32x32", "use 64x32"),
        ("t2v_a14b", &[("--size", ABSENT), ("--area", "480p")], "no proportions", "use --size"),
    ];
    for (case, flags, error, hint) in cases {
        generate(&bench, case, flags, &[]).refused(error, hint);
    }
}

#[test]
fn a_lens_of_another_image_size_is_told_with_the_factor() {
    let bench = bench();
    let path = bench.path("walk/intrinsics.npy");
    let mut bytes = fs::read(&path).unwrap();
    let start = header_length(&bytes);
    for row in bytes[start..].chunks_exact_mut(16) {
        for (value, number) in row.chunks_exact_mut(4).zip([774.0f32, 755.0, 640.0, 360.0]) {
            value.copy_from_slice(&number.to_le_bytes());
        }
    }
    fs::write(&path, bytes).unwrap();
    let flags = [("--image", "first.png"), ("--camera", "walk")];
    generate(&bench, "lingbot", &flags, &[]).refused("another image size", "for a 1280x720 image");
}

/// Keeps the first poses of a path.
fn truncate_poses(bench: &Bench, name: &str, poses: usize) {
    let path = bench.path(name).join("poses.npy");
    let mut bytes = fs::read(&path).unwrap();
    let shape = find(&bytes, b"(5, 4, 4)");
    bytes[shape + 1] = b'0' + poses as u8;
    bytes.truncate(header_length(&bytes) + poses * 64);
    fs::write(path, bytes).unwrap();
}

/// Doubles the first value of the third pose's rotation.
fn bend_pose(bench: &Bench, name: &str) {
    let path = bench.path(name).join("poses.npy");
    let mut bytes = fs::read(&path).unwrap();
    let at = header_length(&bytes) + 2 * 64;
    bytes[at..at + 4].copy_from_slice(&2f32.to_le_bytes());
    fs::write(path, bytes).unwrap();
}

/// Of an npy file of version 1, up to its values.
fn header_length(bytes: &[u8]) -> usize {
    10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]))
}

fn find(bytes: &[u8], part: &[u8]) -> usize {
    bytes.windows(part.len()).position(|window| window == part).unwrap()
}
