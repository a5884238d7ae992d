//! Films: files, dumps and reports against the golden runs.

use std::{collections::BTreeMap, fs, fs::File, io::BufReader, path::Path};

use image::{AnimationDecoder, codecs::gif::GifDecoder, codecs::webp::WebPDecoder};
use safetensors::SafeTensors;
use serde_json::Value;
use testkit::{FRAMES_MEAN, Golden, Tolerance, devices, mean_difference, relative_l2, report_skip};

use crate::{
    bench::{Bench, tiny},
    mp4,
};

/// Shape and values of one tensor.
type Dumped = (Vec<usize>, Vec<f32>);

/// The f32 tensors of a file.
fn tensors(path: &Path) -> BTreeMap<String, Dumped> {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = |view: &safetensors::tensor::TensorView<'_>| {
        assert_eq!(view.dtype(), safetensors::Dtype::F32);
        let values = view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()));
        (view.shape().to_vec(), values.collect())
    };
    file.iter().map(|(name, view)| (name.to_owned(), tensor(&view))).collect()
}

/// Checks every file of a dump of the golden run; returns the latents.
fn check_dump(folder: &Path, what: &str) -> Dumped {
    let golden = Golden::load("pipeline");
    let (text, mut latents, mut frames) = (
        tensors(&folder.join("text.safetensors")),
        tensors(&folder.join("latents.safetensors")),
        tensors(&folder.join("frames.safetensors")),
    );
    assert_eq!(text.keys().collect::<Vec<_>>(), ["context", "context_null"], "{what}");
    let (shape, context) = &text["context"];
    let (rows, padding) = golden.get("context").1.split_at(context.len());
    assert!(shape[1] == 32 && padding.iter().all(|&v| v == 0.0), "{what}: {shape:?}");
    assert!(relative_l2(context, rows) <= Tolerance::MODULE_GPU.0, "{what}: context");
    assert!(text["context_null"].0[1] == 32 && text["context_null"] != text["context"], "{what}");

    let names: Vec<_> = (0..6).map(|i| format!("step_{i:03}")).collect();
    assert!(latents.keys().eq(std::iter::once("latents").chain(names.iter().map(String::as_str))), "{what}");
    assert!(latents.values().all(|(shape, _)| *shape == [1, 16, 3, 4, 6]), "{what}");
    assert!(latents["latents"] == latents["step_005"], "{what}: the last step is not the result");
    for name in &names {
        let error = relative_l2(&latents[name].1, golden.get(&format!("unipc.{name}")).1);
        assert!(error <= Tolerance::RUN.0, "{what}: {name} {error:.2e}");
    }

    let (shape, values) = frames.remove("frames").unwrap();
    assert!(frames.is_empty() && shape == [9, 32, 48, 3], "{what}: {shape:?}");
    assert!(values.iter().all(|v| (0.0..=1.0).contains(v)), "{what}: frames leave 0..1");
    let error = mean_difference(&values, golden.get("unipc.frames").1);
    assert!(error <= FRAMES_MEAN, "{what}: frames differ by {error}");
    latents.remove("latents").unwrap()
}

fn check_report(report: &Value, device: &str) {
    let mut keys: Vec<_> = report.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    let expected = "device dtype fallbacks fps frames height kernels_compiled loaded_bytes \
                    loaded_bytes_per_second notes output peak_memory_bytes planned_memory_bytes quant seconds seed \
                    step_seconds steps tokens tuned warnings width";
    assert_eq!(keys.join(" "), expected);
    let number = |key: &str| report[key].as_u64().unwrap();
    assert_eq!((number("width"), number("height"), number("frames"), number("fps")), (48, 32, 9, 16));
    assert_eq!((number("steps"), number("tokens"), number("seed")), (6, 18, 7));
    assert_eq!((report["output"].as_str(), report["dtype"].as_str()), (Some("x.mp4"), Some("f32")));
    assert!(report["device"].as_str().unwrap().starts_with(device), "{report}");
    #[cfg(unix)]
    assert!(number("peak_memory_bytes") > 1 << 20, "{report}");
    let steps: Vec<_> =
        report["step_seconds"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
    assert!(steps.len() == 6 && steps.iter().all(|&s| s > 0.0), "{report}");
    let seconds = |phase: &str| report["seconds"][phase].as_f64().unwrap();
    assert_eq!((&report["fallbacks"], &report["warnings"]), (&Value::Array(vec![]), &Value::Array(vec![])));
    let check = report["seconds"]["check"].as_f64().unwrap_or_default();
    let phases: f64 =
        check + ["load", "text", "prepare", "denoise", "decode", "encode"].map(seconds).iter().sum::<f64>();
    assert!(seconds("denoise") >= steps.iter().sum::<f64>(), "{report}");
    assert!(seconds("total") >= phases && phases >= seconds("total") / 2.0, "{report}");
}

fn check_film(path: &Path) {
    let pictures = mp4::pictures(&fs::read(path).unwrap());
    assert_eq!(pictures.len(), 9);
    assert!(pictures.iter().all(|picture| (picture.width, picture.height) == (48, 32)));
    assert!(pictures[0].luma != pictures[8].luma, "nothing moves");
}

#[test]
fn every_device_follows_the_golden_run_from_flags_to_files() {
    let present: Vec<_> = devices().into_iter().map(|device| device.name).collect();
    for device in ["cpu", "ndarray", "wgpu"] {
        if !present.contains(&device) {
            report_skip(device, "no adapter");
            continue;
        }
        let bench = Bench::new();
        let flags = [("--device", device), ("--dump", "dump"), ("--seed", "7"), ("--dtype", "f32")];
        let ended = bench.generate(&flags, &["--json"]).good();
        check_report(&serde_json::from_str(&ended.stdout).unwrap(), device);
        check_film(&bench.path("x.mp4"));
        check_dump(&bench.path("dump"), device);
        assert_eq!(bench.left().len(), 2, "{:?}", bench.left());
        assert_eq!(fs::read_dir(bench.path("dump")).unwrap().count(), 3);
    }
}

#[test]
fn the_official_folder_gives_the_same_bits() {
    let bench = Bench::new();
    let official = tiny("official").display().to_string();
    bench.generate(&[("--dump", "a")], &[]).good();
    let flags =
        [("--model", official.as_str()), ("--schedule", "diffusers"), ("--shift", "5"), ("--dump", "b")];
    let ended = bench.generate(&flags, &["--overwrite"]).good();
    assert_eq!(ended.stdout, "x.mp4\n");
    assert!(check_dump(&bench.path("a"), "diffusers") == check_dump(&bench.path("b"), "official"));
    for file in ["text", "latents", "frames"] {
        let of = |dump: &str| tensors(&bench.path(dump).join(format!("{file}.safetensors")));
        assert!(of("a") == of("b"), "{file} differ");
    }
}

#[test]
fn without_guidance_there_is_no_negative_context() {
    let bench = Bench::new();
    bench.generate(&[("--guidance", "1"), ("--dump", "dump")], &[]).good();
    let text = tensors(&bench.path("dump/text.safetensors"));
    assert_eq!(text.keys().collect::<Vec<_>>(), ["context"]);
}

#[test]
fn every_kind_of_file_has_its_frames() {
    let bench = Bench::new();
    for output in ["x.gif", "x.webp", "frames/", "still_%02d.png"] {
        bench.generate(&[("--output", output)], &["--quiet"]).good();
    }
    let reader = |name: &str| BufReader::new(File::open(bench.path(name)).unwrap());
    let gif = GifDecoder::new(reader("x.gif")).unwrap().into_frames().collect_frames().unwrap();
    let webp = WebPDecoder::new(reader("x.webp")).unwrap().into_frames().collect_frames().unwrap();
    assert_eq!((gif.len(), webp.len()), (9, 9));
    for (index, frame) in webp.into_iter().enumerate() {
        let frame = image::DynamicImage::ImageRgba8(frame.into_buffer()).into_rgb8();
        assert_eq!(frame.dimensions(), (48, 32));
        for name in [format!("frames/frame_{index:04}.png"), format!("still_{index:02}.png")] {
            assert!(image::open(bench.path(&name)).unwrap().into_rgb8() == frame, "{name} differs");
        }
    }
    assert_eq!(fs::read_dir(bench.path("frames")).unwrap().count(), 9);
    assert_eq!(bench.left().len(), 3 + 9);
}

#[test]
fn one_frame_fits_one_png() {
    let bench = Bench::new();
    let flags =
        [("--frames", "1"), ("--noise", crate::bench::ABSENT), ("--seed", "3"), ("--output", "a.png")];
    let ended = bench.generate(&flags, &["-q"]).good();
    assert!(ended.stderr.is_empty(), "{}", ended.stderr);
    assert_eq!(image::open(bench.path("a.png")).unwrap().into_rgb8().dimensions(), (48, 32));
}
