//! Many clips by one command.

use std::{collections::BTreeSet, fs};

use serde_json::{Value, json};
use testkit::Golden;

use crate::{
    bench::{Bench, Ended, tiny},
    mp4,
};

/// A job of the tiny checkpoint, in a fraction of a second.
fn tiny_job(changes: &Value) -> Value {
    let model = tiny("diffusers").display().to_string();
    let mut job =
        json!({"model": model, "prompt": "a fox", "size": "32x32", "frames": 5, "steps": 2, "seed": 3});
    changes.as_object().unwrap().iter().for_each(|(key, value)| job[key] = value.clone());
    job
}

fn write(bench: &Bench, name: &str, jobs: &[Value]) {
    let lines: Vec<_> = jobs.iter().map(Value::to_string).collect();
    fs::write(bench.path(name), lines.join("\n")).unwrap();
}

fn batch(bench: &Bench, switches: &[&str]) -> Ended {
    bench.wan(&[&["batch", "jobs.jsonl", "-o", "clips", "--device", "cpu"], switches].concat())
}

/// The report, whatever the exit code is.
fn report(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{}", ended.stderr))
}

fn names(bench: &Bench) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(bench.path("clips")) else { return BTreeSet::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn luma(bench: &Bench, name: &str) -> Vec<Vec<u8>> {
    let bytes = fs::read(bench.path(name)).unwrap();
    mp4::pictures(&bytes).into_iter().map(|picture| picture.luma).collect()
}

/// Thirty jobs of the built-in model, of which three are broken: in their text, in a setting, and for the model.
#[cfg(feature = "demo")]
fn thirty() -> Vec<String> {
    let colours = ["red", "green", "blue", "yellow", "purple", "white"];
    let prompt = |i: usize| format!("a {} ball moves to the {}", colours[i % 6], ["left", "right"][i % 2]);
    let job = |i: usize| json!({"name": format!("clip-{i:02}"), "prompt": prompt(i), "seed": i}).to_string();
    let mut lines: Vec<_> = (1..=30).map(job).collect();
    lines[4] = "{\"name\": \"clip-05\", ".to_owned();
    lines[11] = json!({"name": "clip-12", "prompt": "a ball", "stepz": 3}).to_string();
    lines[22] = json!({"name": "clip-23", "prompt": "a ball", "size": "50x50"}).to_string();
    lines
}

#[cfg(feature = "demo")]
#[test]
fn of_thirty_jobs_with_three_broken_only_these_are_left_for_the_next_time() {
    let bench = Bench::new();
    let flags = ["--steps", "2", "--frames", "5", "--json"];
    let mut lines = thirty();
    fs::write(bench.path("jobs.jsonl"), lines.join("\n")).unwrap();
    let first = batch(&bench, &flags);
    assert_eq!(first.code, Some(1), "{}", first.stderr);
    let said = report(&first);
    assert_eq!(
        (&said["done"], &said["failed"], &said["loads"]),
        (&27.into(), &3.into(), &1.into()),
        "{said}"
    );
    assert_eq!(names(&bench).len(), 27);
    for error in
        ["error: line 5: column", "error: line 12: unexpected argument '--stepz'", "error: line 23: 50x50"]
    {
        assert_eq!(first.stderr.matches(error).count(), 1, "{error}: {}", first.stderr);
    }
    let again = batch(&bench, &flags);
    assert_eq!(again.code, Some(1));
    let said = report(&again);
    assert_eq!(
        (&said["done"], &said["skipped"], &said["loads"]),
        (&0.into(), &27.into(), &0.into()),
        "{said}"
    );
    for (index, line) in [(4, "{}"), (11, "{\"seed\": 12}"), (22, "{\"seed\": 23}")] {
        let mut job: Value = serde_json::from_str(line).unwrap();
        (job["name"], job["prompt"]) = (format!("clip-{:02}", index + 1).into(), "a red ball".into());
        lines[index] = job.to_string();
    }
    fs::write(bench.path("jobs.jsonl"), lines.join("\n")).unwrap();
    let last = batch(&bench, &flags).good();
    let said = report(&last);
    assert_eq!(
        (&said["done"], &said["skipped"], &said["failed"]),
        (&3.into(), &27.into(), &0.into()),
        "{said}"
    );
    assert_eq!(names(&bench).len(), 30);
}

#[test]
fn a_clip_is_the_same_alone_and_among_others() {
    let bench = Bench::new();
    let jobs = [
        json!({}),
        json!({"prompt": "a cat", "negative": "rain", "seed": 4}),
        json!({"prompt": "a fox", "seed": 5}),
    ];
    write(&bench, "jobs.jsonl", &jobs.map(|job| tiny_job(&job)));
    for switch in [[].as_slice(), &["--lean", "--overwrite"]] {
        let _ = fs::remove_dir_all(bench.path("clips"));
        let said = report(&batch(&bench, &[&["--json"], switch].concat()).good());
        let loads = if switch.is_empty() { 1 } else { 3 };
        assert_eq!((&said["done"], &said["loads"]), (&3.into(), &loads.into()), "{said}");
        let alone = [
            "generate",
            "--model",
            &tiny("diffusers").display().to_string(),
            "--prompt",
            "a cat",
            "--negative",
            "rain",
            "--size",
            "32x32",
            "--frames",
            "5",
            "--steps",
            "2",
            "--seed",
            "4",
            "--device",
            "cpu",
            "-o",
            "alone.mp4",
            "--overwrite",
        ]
        .map(str::to_owned);
        bench.wan(&alone.each_ref().map(String::as_str)).good();
        assert!(luma(&bench, "alone.mp4") == luma(&bench, "clips/job-0002.mp4"), "{switch:?}");
    }
}

#[test]
fn two_transformers_are_loaded_once_where_both_have_room() {
    let bench = Bench::new();
    let part = |name: &str| tiny("diffusers").join(name).display().to_string();
    let model = Golden::path("tiny_tasks").join("t2v_a14b").display().to_string();
    let parts = json!({"model": model, "vae": part("vae"), "text-encoder": part("text_encoder"),
        "tokenizer": part("tokenizer"), "boundary": 0.9, "steps": 4});
    let jobs = [1, 2, 3].map(|seed| {
        let mut job = tiny_job(&parts);
        job["seed"] = seed.into();
        job
    });
    write(&bench, "jobs.jsonl", &jobs);
    let mut clips = Vec::new();
    for (switches, loads) in [([].as_slice(), 2), (&["--lean"], 6)] {
        let said = report(&batch(&bench, &[&["--json"], switches].concat()).good());
        assert_eq!((&said["done"], &said["loads"]), (&3.into(), &loads.into()), "{said}");
        clips.push(["job-0001.mp4", "job-0003.mp4"].map(|name| luma(&bench, &format!("clips/{name}"))));
        fs::remove_dir_all(bench.path("clips")).unwrap();
    }
    assert!(clips[0] == clips[1] && clips[0][0] != clips[0][1]);
}

#[test]
fn a_dry_run_lists_what_is_wrong_and_makes_nothing() {
    let bench = Bench::new();
    let jobs =
        [json!({"name": "good"}), json!({"frames": 6}), json!({"image": "absent.png"}), json!({"seed": -1})];
    write(&bench, "jobs.jsonl", &jobs.map(|job| tiny_job(&job)));
    let dry = batch(&bench, &["--dry-run", "--json"]);
    assert_eq!(dry.code, Some(1), "{}", dry.stderr);
    let said = report(&dry);
    assert_eq!(
        (&said["planned"], &said["failed"], &said["loads"]),
        (&1.into(), &3.into(), &0.into()),
        "{said}"
    );
    for error in
        ["line 2: 6 frames", "line 3: --image absent.png does not exist", "line 4: invalid value '-1'"]
    {
        assert!(dry.stderr.contains(error), "{error}: {}", dry.stderr);
    }
    assert!(!bench.path("clips").exists());
}

#[test]
fn shards_together_make_everything_once() {
    let bench = Bench::new();
    let jobs: Vec<_> =
        (0..5).map(|seed| tiny_job(&json!({"seed": seed, "name": format!("{seed}.gif")}))).collect();
    write(&bench, "jobs.jsonl", &jobs);
    let first = report(&batch(&bench, &["--shard", "1/2", "--json"]).good());
    assert_eq!((&first["done"], names(&bench).len()), (&3.into(), 3));
    let second = batch(&bench, &["--shard", "2/2"]).good();
    assert_eq!(second.stdout, "clips/1.gif\nclips/3.gif\n");
    assert_eq!(names(&bench).len(), 5);
    batch(&bench, &["--shard", "3/2"]).refused("invalid value '3/2'", "");
}

#[test]
fn what_is_there_is_not_replaced_unasked() {
    let bench = Bench::new();
    write(&bench, "jobs.jsonl", &[tiny_job(&json!({"output": "sub/a_%d.png"}))]);
    batch(&bench, &[]).good();
    // Another seed, and a sequence that was cut short.
    write(&bench, "jobs.jsonl", &[tiny_job(&json!({"output": "sub/a_%d.png", "seed": 9}))]);
    let other = batch(&bench, &[]);
    assert_eq!(other.code, Some(1));
    assert!(other.stderr.contains("is there with other settings"), "{}", other.stderr);
    batch(&bench, &["--overwrite"]).good();
    let skipped = report(&batch(&bench, &["--overwrite", "--json"]).good());
    assert_eq!(skipped["skipped"], 1);
    fs::remove_file(bench.path("clips/sub/a_3.png")).unwrap();
    assert_eq!(report(&batch(&bench, &["--overwrite", "--json"]).good())["done"], 1);
}

#[test]
fn files_that_are_no_jobs_are_refused() {
    let bench = Bench::new();
    fs::write(bench.path("jobs.toml"), "[[job]]\nprompt = \"a\"").unwrap();
    for (file, error) in [("absent.jsonl", "absent.jsonl"), ("jobs.toml", "unknown field `job`")] {
        bench.wan(&["batch", file, "-o", "clips"]).refused(error, "");
    }
}

#[cfg(unix)]
#[test]
fn an_interrupted_batch_keeps_what_is_whole() {
    use crate::interrupt::Running;

    let bench = Bench::new();
    let long = json!({"name": "long", "steps": 1000, "frames": 9, "size": "64x64"});
    write(&bench, "jobs.jsonl", &[json!({}), long, json!({"seed": 8})].map(|job| tiny_job(&job)));
    let mut run = Running::start(bench.command(&["batch", "jobs.jsonl", "-o", "clips", "--device", "cpu"]));
    run.wait_for("[2/3]");
    run.wait_for("step 1/1000");
    run.interrupt();
    let (status, rest) = run.end();
    assert_eq!(status.code(), Some(130), "{rest}");
    assert!(rest.contains("1 done") && rest.contains("2 left"), "{rest}");
    assert_eq!(Vec::from_iter(names(&bench)), ["job-0001.mp4"]);
}
