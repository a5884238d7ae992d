//! Runs that are killed, stopped and short of space, and what they go on to.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use safetensors::SafeTensors;
use serde_json::Value;
use wan_cli::engine::runs::{FILE, read};

use crate::{
    bench::{Bench, Ended, STATE},
    interrupt::Running,
};

/// Kills of the demo model, unless `WAN_KILLS` says how many.
const KILLS: u64 = 3;
/// Enough of them for a signal to come before the last.
const STEPS: &str = "80";
/// Tensors of a dump's file, by name.
type Tensors = BTreeMap<String, Vec<u8>>;

fn tensors(path: &Path) -> Tensors {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    file.iter().map(|(name, view)| (name.to_owned(), view.data().to_vec())).collect()
}

/// A run's video and dump, which must be `other`'s to the bit.
fn assert_same(bench: &Bench, [a, b]: [&str; 2], what: &str) {
    for file in ["text", "latents", "frames"] {
        let of = |name: &str| tensors(&bench.path(name).join(format!("{file}.safetensors")));
        assert!(of(a) == of(b), "{what}: {file} differ");
    }
    let video = |name: &str| fs::read(bench.path(&format!("{name}.mp4"))).unwrap();
    assert!(video(a) == video(b), "{what}: videos differ");
}

fn states(bench: &Bench) -> Vec<PathBuf> {
    let folders = fs::read_dir(bench.path(STATE)).into_iter().flatten();
    folders.map(|entry| entry.unwrap().path().join(FILE)).filter(|path| path.is_file()).collect()
}

#[cfg(feature = "demo")]
fn demo(bench: &Bench, name: &str, flags: &[&str]) -> Command {
    let (output, prompt) = (format!("{name}.mp4"), "a red ball rolls to the left");
    let mut command = bench.command(&["generate", "--prompt", prompt, "--seed", "7", "--device", "cpu"]);
    command.args(["-o", &output, "--dump", name]).args(flags).env("TMPDIR", bench.path("temporary"));
    command
}

/// A part of a whole, other in every run of the tests.
#[cfg(feature = "demo")]
fn random() -> f64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64
}

#[cfg(feature = "demo")]
#[test]
fn a_killed_run_goes_on_to_the_same_video() {
    let bench = Bench::new();
    fs::create_dir(bench.path("temporary")).unwrap();
    let start = Instant::now();
    Ended::of(demo(&bench, "whole", &["--save-every", "1"])).good();
    let time = start.elapsed();
    assert!(states(&bench).is_empty(), "a finished run leaves nothing");
    let kills = std::env::var("WAN_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS);
    let mut reached = Vec::new();
    for kill in 0..kills {
        let running = Running::start(demo(&bench, "part", &["--save-every", "1", "--overwrite"]));
        let (begun, moment) = (Instant::now(), time.mul_f64(random()));
        while begun.elapsed() < moment || states(&bench).is_empty() {
            std::thread::sleep(Duration::from_millis(1));
            if bench.path("part.mp4").exists() {
                break;
            }
        }
        running.kill();
        let what = format!("kill {kill} after {:?}", begun.elapsed());
        let resumed = Ended::of(bench.command(&["resume", "--quiet"]));
        if bench.path("part.mp4").exists() && resumed.code != Some(0) {
            assert!(resumed.stderr.contains("no run to go on with"), "{}", resumed.stderr);
        } else {
            assert_eq!(resumed.good().stdout, "part.mp4\n", "{what}");
        }
        assert_same(&bench, ["whole", "part"], &what);
        assert!(states(&bench).is_empty(), "{what}");
        fs::remove_file(bench.path("part.mp4")).unwrap();
        fs::remove_dir_all(bench.path("part")).unwrap();
        reached.push(begun.elapsed());
    }
    assert_eq!(reached.len(), kills as usize);
}

/// A run that is killed before it has encoded anything.
#[cfg(feature = "demo")]
#[test]
fn a_run_that_has_barely_begun_can_be_resumed() {
    let bench = Bench::new();
    fs::create_dir(bench.path("temporary")).unwrap();
    Ended::of(demo(&bench, "whole", &[])).good();
    let running = Running::start(demo(&bench, "part", &[]));
    while states(&bench).is_empty() {
        std::thread::sleep(Duration::from_micros(200));
    }
    running.kill();
    assert!(!read(&states(&bench)[0]).unwrap().0.encoded);
    let text = bench.wan(&["runs", "--json"]).good().stdout;
    let run = serde_json::from_str::<Value>(&text).unwrap()["runs"][0].clone();
    assert_eq!((&run["phase"], &run["step"], &run["resumable"]), (&"text".into(), &0.into(), &true.into()));
    assert!(bench.wan(&["runs"]).good().stdout.contains("text      0/"));
    // The seed and all else are the run's own; what is gone on with has states of its own.
    let mut running = Running::start(bench.command(&["resume", "--save-every", "1"]));
    running.wait_for("step 2/");
    running.kill();
    let (header, _) = read(&states(&bench)[0]).unwrap();
    assert!(header.encoded && header.step > 0, "{header:?}");
    assert_eq!(bench.wan(&["resume", "--quiet"]).good().stdout, "part.mp4\n");
    assert_same(&bench, ["whole", "part"], "after a kill at the beginning");
    assert!(states(&bench).is_empty());
}

#[test]
fn a_run_that_fails_at_its_beginning_leaves_nothing() {
    let bench = Bench::new();
    let model = bench.copy("diffusers");
    let weights = bench.path("diffusers/text_encoder/model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    let key = "encoder.final_layer_norm.weight";
    let at = SafeTensors::deserialize(&bytes).unwrap().tensor(key).unwrap().data().as_ptr() as usize
        - bytes.as_ptr() as usize;
    bytes[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&weights, bytes).unwrap();
    let failed = bench.generate(&[("--model", &model)], &[]);
    assert_eq!(failed.code, Some(1), "{}", failed.stderr);
    assert!(failed.stderr.contains(key) && !failed.stderr.contains("is kept"), "{}", failed.stderr);
    assert!(states(&bench).is_empty() && bench.left().is_empty());
    assert_eq!(bench.wan(&["runs"]).good().stdout, "no runs\n");
}

#[cfg(feature = "demo")]
#[test]
fn frames_that_are_decoded_are_not_lost() {
    let bench = Bench::new();
    fs::create_dir(bench.path("temporary")).unwrap();
    let flags = ["--frames", "49", "--steps", "2"];
    Ended::of(demo(&bench, "whole", &flags)).good();
    for damage in [false, true] {
        let mut running = Running::start(demo(&bench, "part", &flags));
        running.wait_for("decode 9/49");
        running.interrupt();
        assert_eq!(running.end().0.code(), Some(130));
        let folder = states(&bench).pop().unwrap().parent().unwrap().to_owned();
        let point: Value = serde_json::from_slice(&fs::read(folder.join("decode.json")).unwrap()).unwrap();
        assert!(point["frames"].as_u64().unwrap() >= 9, "{point}");
        let memory = folder.join(point["file"].as_str().unwrap());
        if damage {
            let mut bytes = fs::read(&memory).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            fs::write(&memory, bytes).unwrap();
        }
        bench.wan(&["resume"]).good();
        assert_same(&bench, ["whole", "part"], "after a stop while decoding");
        assert!(!folder.exists());
        fs::remove_file(bench.path("part.mp4")).unwrap();
    }
}

/// The decoder draws nothing but black, which a look at the first frame shows.
#[test]
fn a_black_video_is_stopped_and_can_be_had_all_the_same() {
    let bench = Bench::new();
    let model = bench.copy("diffusers");
    let path = bench.path("diffusers/vae/diffusion_pytorch_model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    for (key, value) in [("decoder.conv_out.weight", 0f32), ("decoder.conv_out.bias", -2.0)] {
        let data = SafeTensors::deserialize(&bytes).unwrap().tensor(key).unwrap().data().as_ptr_range();
        let [start, end] = [data.start, data.end].map(|at| at as usize - bytes.as_ptr() as usize);
        bytes[start..end].as_chunks_mut::<4>().0.iter_mut().for_each(|four| *four = value.to_le_bytes());
    }
    fs::write(&path, bytes).unwrap();
    let stopped = bench.generate(&[("--model", &model)], &[]);
    assert_eq!(stopped.code, Some(1));
    stopped.refused("the picture is of one colour after latent frame 1 of 3 (black", "WAN_KERNELS=reference");
    stopped.refused("step 6 of 6 is kept in", "then: wan resume latest");
    assert!(bench.left().is_empty());
    bench.wan(&["resume"]).refused("the picture is of one colour", "--health off");
    bench.wan(&["resume", "--no-health-check"]).good();
    assert_eq!((bench.left(), states(&bench).len()), (vec!["x.mp4".to_owned()], 0));
    bench.wan(&["runs"]).good();
}

/// The tiny model's run, stopped by Ctrl-C after its step `step`.
fn stopped(bench: &Bench, name: &str, step: usize) -> (i32, String) {
    let output = format!("{name}.mp4");
    let flags =
        [("--output", output.as_str()), ("--dump", name), ("--device", "ndarray"), ("--steps", STEPS)];
    let mut running = Running::start(bench.generation(&flags, &["--save-every", "1"]));
    running.wait_for(&format!("step {step}/"));
    running.interrupt();
    let (status, rest) = running.end();
    (status.code().unwrap(), rest)
}

fn whole(bench: &Bench) {
    let flags = [("--output", "whole.mp4"), ("--dump", "whole"), ("--device", "ndarray"), ("--steps", STEPS)];
    bench.generate(&flags, &[]).good();
}

#[test]
fn an_interrupted_run_goes_on_from_its_state_wherever_it_is_called() {
    let bench = Bench::new();
    whole(&bench);
    let (code, rest) = stopped(&bench, "part", 2);
    assert_eq!(code, 130);
    let state = states(&bench).pop().unwrap();
    assert!(rest.contains(&state.display().to_string()), "{rest}");
    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = bench.command(&["resume", "latest", "--json"]);
    command.current_dir(&elsewhere);
    let report = Ended::of(command).good();
    assert!(report.stderr.contains("goes on after step"), "{}", report.stderr);
    let report: Value = serde_json::from_str(&report.stdout).unwrap();
    assert_eq!(Path::new(report["output"].as_str().unwrap()), bench.path("part.mp4").canonicalize().unwrap());
    assert_same(&bench, ["whole", "part"], "after Ctrl-C");
}

#[test]
fn a_state_can_be_copied_and_the_video_go_elsewhere() {
    let bench = Bench::new();
    whole(&bench);
    stopped(&bench, "part", 3);
    let state = states(&bench).pop().unwrap();
    fs::copy(&state, bench.path("kept.safetensors")).unwrap();
    bench.wan(&["runs", "rm", "--all"]).good();
    assert!(states(&bench).is_empty());
    bench.wan(&["resume", "kept.safetensors", "-o", "other.mp4"]).good();
    assert!(fs::read(bench.path("other.mp4")).unwrap() == fs::read(bench.path("whole.mp4")).unwrap());
    assert!(bench.path("kept.safetensors").exists() && states(&bench).is_empty());
    let note = bench.wan(&["resume", "kept.safetensors", "-o", "cpu.mp4", "--device", "cpu"]).good();
    assert!(note.stderr.contains("bits may differ"), "{}", note.stderr);
}

#[test]
fn what_is_not_the_run_any_more_is_refused() {
    let bench = Bench::new();
    let model = bench.copy("diffusers");
    let flags = [("--model", model.as_str()), ("--device", "ndarray"), ("--steps", "200")];
    let mut running = Running::start(bench.generation(&flags, &["--save-every", "1"]));
    running.wait_for("step 2/");
    bench.wan(&["resume", &id(&bench)]).refused("is under way in another process", "Ctrl-C");
    running.kill();
    let resume = || bench.wan(&["resume"]);
    let state = states(&bench).pop().unwrap();

    let noise = bench.path("noise.safetensors");
    changed(&noise, || resume().refused("noise.safetensors is not what this run began with", "put it back"));
    let weights = bench.path("diffusers/transformer/diffusion_pytorch_model.safetensors");
    changed(&weights, || {
        resume().refused("model.safetensors is not what this run began with", "put it back")
    });
    let whole = fs::read(&state).unwrap();
    for cut in [0, 7, 9, 500, whole.len() - 1] {
        fs::write(&state, &whole[..cut]).unwrap();
        bench.wan(&["resume", &id(&bench)]).refused("not a whole state of a run", "wan runs rm");
    }
    let header = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize + 8;
    for at in (0..whole.len()).step_by(whole.len() / 150).chain((0..header).step_by(header / 150)) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x11;
        fs::write(&state, bytes).unwrap();
        // A letter of the prompt may change without notice, a tensor may not.
        assert!(at < header || read(&state).is_err(), "byte {at}");
        let _ = read(&state);
    }
    let mark = br#"\"format\":1"#;
    let at = whole.windows(mark.len()).position(|bytes| bytes == mark).unwrap() + mark.len() - 1;
    let mut newer = whole.clone();
    newer[at] = b'9';
    fs::write(&state, newer).unwrap();
    bench
        .wan(&["resume", &id(&bench)])
        .refused("a state of format 9; this version reads 1", "version of wan");
    fs::write(&state, whole).unwrap();
    fs::write(bench.path("x.mp4"), "mine").unwrap();
    resume().refused("x.mp4 exists", "--overwrite");
    bench.wan(&["resume", "nothing"]).refused("there is no run nothing", "wan runs");
}

fn id(bench: &Bench) -> String {
    let state = states(bench).pop().unwrap();
    state.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned()
}

/// With the file's last byte another one meanwhile.
fn changed(path: &Path, look: impl FnOnce()) {
    let before = fs::read(path).unwrap();
    let mut bytes = before.clone();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(path, bytes).unwrap();
    look();
    fs::write(path, before).unwrap();
}

/// Under `ulimit -f`, which counts blocks of 512 or 1024 bytes.
fn limited(bench: &Bench, blocks: usize, command: &Command) -> Ended {
    let mut limited = Command::new("sh");
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    limited.args(["-c", &script]).arg(command.get_program()).args(command.get_args());
    limited.current_dir(bench.path(""));
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(key, value),
            None => limited.env_remove(key),
        };
    }
    Ended::of(limited)
}

#[test]
fn without_space_for_a_state_the_one_before_stays() {
    let bench = Bench::new();
    let flags = |output| [("--output", output), ("--device", "ndarray"), ("--steps", STEPS)];
    bench.generate(&flags("whole.mp4"), &[]).good();
    let mut running = Running::start(bench.generation(&flags("part.mp4"), &["--save-every", "1"]));
    running.wait_for("step 2/");
    running.interrupt();
    assert_eq!(running.end().0.code(), Some(130));
    let state = states(&bench).pop().unwrap();
    let before = fs::read(&state).unwrap();
    let failed = limited(&bench, 8, &bench.command(&["resume", "--save-every", "1"]));
    assert_eq!(failed.code, Some(1));
    failed.refused("the state of this run cannot be kept", "free some space");
    assert!(fs::read(&state).unwrap() == before);
    assert!(!bench.path("part.mp4").exists());
    bench.wan(&["resume"]).good();
    let video = |name: &str| fs::read(bench.path(name)).unwrap();
    assert!(video("part.mp4") == video("whole.mp4"));
}

#[test]
fn runs_are_listed_and_removed() {
    let bench = Bench::new();
    assert_eq!(bench.wan(&["runs"]).good().stdout, "no runs\n");
    stopped(&bench, "one", 2);
    stopped(&bench, "two", 3);
    let list = || -> Vec<Value> {
        let text = bench.wan(&["runs", "--json"]).good().stdout;
        serde_json::from_str::<Value>(&text).unwrap()["runs"].as_array().unwrap().clone()
    };
    let runs = list();
    let outputs: Vec<_> = runs.iter().map(|run| run["output"].as_str().unwrap()).collect();
    assert_eq!(outputs, ["two.mp4", "one.mp4"], "the last one first");
    assert!(runs.iter().all(|run| run["resumable"] == true && run["bytes"].as_u64().unwrap() > 1000));
    assert!(runs[0]["step"].as_u64().unwrap() >= 3 && runs[0]["steps"] == 80, "{runs:?}");
    let text = bench.wan(&["runs"]).good().stdout;
    assert!(text.lines().count() == 2 && text.contains("/80 "), "{text}");
    let removed = bench.wan(&["runs", "prune", "--keep", "1"]).good().stdout;
    assert!(removed.starts_with("1 run removed"), "{removed}");
    assert_eq!(list()[0]["output"], "two.mp4");
    bench.wan(&["runs", "rm", "nothing"]).refused("there is no run nothing", "wan runs");
    bench.wan(&["runs", "rm", "--older-than", "1h"]).good();
    assert_eq!(list().len(), 1);
    bench.wan(&["runs", "rm", &id(&bench)]).good();
    assert!(list().is_empty());
}

#[test]
fn without_states_nothing_is_kept() {
    let bench = Bench::new();
    let flags = [("--steps", "1000"), ("--device", "ndarray"), ("--save-every", "0")];
    let mut running = Running::start(bench.generation(&flags, &[]));
    running.wait_for("step 1/1000");
    running.interrupt();
    let (status, rest) = running.end();
    assert_eq!(status.code(), Some(130));
    assert!(rest.ends_with("error: interrupted\n"), "{rest}");
    assert!(!bench.path(STATE).exists());
}
