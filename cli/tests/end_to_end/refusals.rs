//! Bad input: one error, a way out, no trace of a panic, nothing under the output's name.

use std::{fs, path::Path};

use safetensors::SafeTensors;
use testkit::{devices, report_skip};

use crate::bench::{ABSENT, Bench, Ended};

const DIT: &str = "diffusers/transformer/diffusion_pytorch_model.safetensors";
const VAE: &str = "diffusers/vae/diffusion_pytorch_model.safetensors";
const TEXT: &str = "diffusers/text_encoder/model.safetensors";

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// Overwrites the first value of an f32 tensor.
fn poison(bytes: &mut [u8], key: &str, value: f32) {
    let data = SafeTensors::deserialize(bytes).unwrap().tensor(key).unwrap().data().as_ptr();
    let start = data as usize - bytes.as_ptr() as usize;
    bytes[start..start + 4].copy_from_slice(&value.to_le_bytes());
}

/// A bench with the diffusers folder after `change`, and what a run with it ends in.
fn damaged(file: &str, change: impl FnOnce(&mut Vec<u8>)) -> Ended {
    let bench = Bench::new();
    bench.copy("diffusers");
    edit(&bench.path(file), change);
    let ended = bench.generate(&[("--model", "diffusers")], &[]);
    assert!(bench.left().is_empty(), "{:?}", bench.left());
    ended
}

#[test]
fn damaged_safetensors_are_named() {
    for file in [DIT, VAE, TEXT] {
        damaged(file, |bytes| bytes.truncate(bytes.len() / 2)).refused(file, "download it again");
        damaged(file, |bytes| bytes.truncate(20)).refused(file, "download it again");
        damaged(file, |bytes| bytes.truncate(0)).refused(file, "");
        damaged(file, |bytes| bytes[0] = 0xff).refused(file, "download it again");
    }
}

#[test]
fn a_weight_that_is_not_finite_is_named() {
    let cases = [
        (DIT, "proj_out.weight", f32::NAN),
        (VAE, "decoder.conv_in.weight", f32::INFINITY),
        (TEXT, "encoder.final_layer_norm.weight", f32::NEG_INFINITY),
    ];
    for (file, key, value) in cases {
        let error = format!("{file}: {key} holds NaN or infinity");
        damaged(file, |bytes| poison(bytes, key, value)).refused(&error, "the file is damaged");
    }
}

/// Whatever single place of a `.pth` is overwritten: a film or one error.
#[test]
fn a_damaged_pth_never_panics() {
    let bench = Bench::new();
    bench.copy("official");
    let path = bench.path("official/Wan2.1_VAE.pth");
    let good = fs::read(&path).unwrap();
    let flags = [("--model", "official"), ("--steps", "1")];
    let run = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        bench.generate(&flags, &["-q"])
    };
    run(&good[..good.len() / 2]).refused("Wan2.1_VAE.pth", "download it again");
    run(b"\x80\x02}q\x00.").refused("Wan2.1_VAE.pth", "");
    assert!(bench.left().is_empty(), "{:?}", bench.left());
    // The pickle is the first entry, the directory lies at the end.
    let places = (0..24).map(|i| i * 1499).chain((1..12).map(|i| good.len() - i * 97));
    let mut refused = 0;
    for place in places {
        let mut bytes = good.clone();
        bytes[place..place + 4].copy_from_slice(&[0xde, 0xad, 0xbe, 0xef]);
        let ended = run(&bytes);
        if ended.code == Some(0) {
            fs::remove_file(bench.path("x.mp4")).unwrap();
        } else {
            ended.refused("Wan2.1_VAE.pth", "");
            refused += 1;
        }
        assert!(bench.left().is_empty(), "{:?}", bench.left());
    }
    assert!(refused > 10, "only {refused} noticed");
}

#[test]
fn a_missing_component_is_named_with_its_flag() {
    for (part, error, flag) in [
        ("vae", "no VAE found", "--vae"),
        ("transformer", "no diffusion transformer found", "--dit"),
        ("text_encoder", "no text encoder found", "--text-encoder"),
        ("tokenizer", "no tokenizer found", "--tokenizer"),
    ] {
        let bench = Bench::new();
        bench.copy("diffusers");
        fs::remove_dir_all(bench.path("diffusers").join(part)).unwrap();
        bench.generate(&[("--model", "diffusers")], &[]).refused(error, flag);
        assert!(bench.left().is_empty());
    }
}

#[test]
fn one_component_in_anothers_place_is_refused() {
    let bench = Bench::new();
    bench.copy("diffusers");
    bench.generate(&[("--vae", DIT)], &[]).refused("this is a Wan t2v transformer", "");
    bench.generate(&[("--dit", VAE)], &[]).refused("this is the Wan 2.1 VAE", "");
    bench.generate(&[("--noise", DIT)], &[]).refused("there is no tensor `noise`", "");
    assert!(bench.left().is_empty());
}

#[test]
fn a_tokenizer_of_garbage_is_refused_in_silence() {
    let file = "diffusers/tokenizer/tokenizer.json";
    let garbage: [&[u8]; 4] = [b"", b"\xff\xfe", b"[1, 2]", b"{\"version\": \"1.0\", \"model\": {}}"];
    for bytes in garbage {
        damaged(file, |old| *old = bytes.to_vec()).refused("tokenizer.json", "");
    }
    // Vocabulary and pieces that contradict each other; the reader of the format panics on some of them.
    for (from, to) in [("\"unk_id\": 3", "\"unk_id\": 99999"), ("</s>", "<//>"), ("\"Unigram\"", "\"BPE\"")] {
        let ended = damaged(file, |bytes| {
            let text = String::from_utf8(bytes.clone()).unwrap();
            let changed = text.replace(from, to);
            assert!(changed != text, "{from} is not there");
            *bytes = changed.into_bytes();
        });
        ended.refused("tokenizer.json", "");
    }
}

#[test]
fn impossible_requests_are_refused_with_a_way_out() {
    let bench = Bench::new();
    bench.write_noise("other.safetensors", &[16, 3, 4, 5], &[0.5; 16 * 3 * 4 * 5]);
    bench.write_noise("nan.safetensors", &[16, 3, 4, 6], &[f32::NAN; 16 * 3 * 4 * 6]);
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);
    let cases: [Case<'_>; 9] = [
        (&[("--frames", "80")], "80 frames", "use 77 or 81"),
        (&[("--size", "50x32")], "50x32", "use 48x32"),
        (&[("--size", "99999984x16")], "99999984x16", "use a smaller size"),
        (&[("--frames", ABSENT), ("--seconds", "1e300"), ("--noise", ABSENT)], "frames", "fewer frames"),
        (&[("--noise", "other.safetensors")], "[16, 3, 4, 5]", "the shape is"),
        (&[("--noise", "nan.safetensors")], "not finite", ""),
        (&[("--noise", "absent.safetensors")], "absent.safetensors does not exist", "path"),
        (&[("--steps", "5000")], "5000 steps", ""),
        (&[("--output", "absent/x.mp4")], "absent is not a folder", "create the folder"),
    ];
    for (flags, error, hint) in cases {
        let ended = bench.generate(flags, &[]);
        ended.refused(error, hint);
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert_eq!(bench.left().len(), 2, "{:?}", bench.left());
    }
}

#[test]
fn an_existing_output_is_kept_and_replaced_only_when_asked() {
    let bench = Bench::new();
    fs::write(bench.path("x.mp4"), "kept").unwrap();
    bench.generate(&[], &[]).refused("x.mp4 exists", "--overwrite");
    assert_eq!(fs::read(bench.path("x.mp4")).unwrap(), b"kept");
    // A run that fails late keeps it too.
    bench.copy("diffusers");
    edit(&bench.path(VAE), |bytes| poison(bytes, "decoder.conv_in.weight", f32::NAN));
    bench.generate(&[("--model", "diffusers")], &["--overwrite"]).refused("NaN", "");
    assert_eq!(fs::read(bench.path("x.mp4")).unwrap(), b"kept");
    bench.generate(&[], &["--overwrite"]).good();
    assert!(fs::metadata(bench.path("x.mp4")).unwrap().len() > 1000);
}

#[test]
fn a_dtype_that_a_device_lacks_is_refused() {
    let bench = Bench::new();
    let run = |device, dtype| bench.generate(&[("--device", device), ("--dtype", dtype)], &[]);
    run("ndarray", "f16").refused("ndarray does not compute in f16", "--dtype f32");
    match devices().iter().any(|device| device.name == "wgpu") {
        true => run("wgpu", "bf16").refused("does not compute in bf16", "--dtype f32"),
        false => report_skip("wgpu", "no adapter"),
    }
    run("wgpu:99", "f32").refused("no adapter for wgpu:99", "wan devices");
    assert!(bench.left().is_empty());
}

#[test]
fn a_prompt_of_a_megabyte_is_refused() {
    let bench = Bench::new();
    fs::write(bench.path("long.txt"), "fox ".repeat(1 << 18)).unwrap();
    fs::write(bench.path("binary.txt"), [0xff; 64]).unwrap();
    let run = |file| bench.generate(&[("--prompt", ABSENT), ("--prompt-file", file)], &[]);
    run("long.txt").refused("long.txt: the text has more than 16384 bytes", "shorten it");
    run("binary.txt").refused("binary.txt", "UTF-8");
    if cfg!(unix) {
        run("/dev/zero").refused("/dev/zero: the text has more than 16384 bytes", "shorten it");
    }
    let negative = "静".repeat(6000);
    bench.generate(&[("--negative", &negative)], &[]).refused("--negative: the text has more", "shorten it");
    assert_eq!(bench.left().len(), 2);
}

/// A limit on the size of files stands in for a full disk: the same failing writes.
#[cfg(unix)]
#[test]
fn a_disk_that_takes_no_more_leaves_nothing() {
    for (flags, name) in [
        (&[("--output", "x.mp4")][..], "x.mp4"),
        (&[("--output", "x.gif")], "x.gif"),
        (&[("--output", "x.webp")], "x.webp"),
        (&[("--output", "frames/")], "frames/frame_0000.png"),
        (&[("--output", "x.gif"), ("--dump", "dump")], "dump/text.safetensors"),
    ] {
        let bench = Bench::new();
        fs::create_dir(bench.path("dump")).unwrap();
        let wan = bench.generation(flags, &["--save-every", "0"]);
        let mut shell = std::process::Command::new("sh");
        // A process that ignores the signal gets an error from the write instead.
        shell.args(["-c", "trap '' XFSZ; ulimit -f 2; exec \"$0\" \"$@\""]);
        shell.arg(wan.get_program()).args(wan.get_args()).current_dir(wan.get_current_dir().unwrap());
        shell.envs(wan.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let ended = Ended::of(shell);
        ended.refused(name, if name.starts_with("dump") { "" } else { "free some space" });
        assert_eq!(bench.left(), ["dump"], "{}", ended.stderr);
        assert_eq!(fs::read_dir(bench.path("dump")).unwrap().count(), 0, "{}", ended.stderr);
    }
}
