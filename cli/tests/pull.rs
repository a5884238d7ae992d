//! `wan pull` and models by their names on a hub, against a server on this machine.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;
use testkit::{
    Golden,
    hub::{COMMIT, FakeHub, MODEL, Manners},
};

struct Bench {
    server: FakeHub,
    folder: TempDir,
}

/// All files of a folder by their paths in it.
fn files(folder: &Path, within: &str) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let each = entries.flat_map(|entry| {
        let path = format!("{within}{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() {
            return files(&entry.path(), &format!("{path}/"));
        }
        vec![(path, fs::read(entry.path()).unwrap())]
    });
    each.collect()
}

impl Bench {
    fn new(manners: Manners) -> Self {
        let mut model = files(&Golden::path("tiny").join("diffusers"), "");
        model.push(("README.md".into(), b"# Tiny".to_vec()));
        Self { server: FakeHub::serve(model, manners, 1), folder: TempDir::new().unwrap() }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wan"));
        command.current_dir(self.folder.path()).args(args).stdin(Stdio::null());
        for variable in
            ["HF_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_TOKEN_PATH"]
        {
            command.env_remove(variable);
        }
        command.env("HF_HOME", self.folder.path().join("hf")).env("HF_ENDPOINT", self.server.address());
        command.env("WAN_CACHE", self.folder.path().join("cache")).env("WAN_CONFIG", "");
        command
    }

    fn wan(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn snapshot(&self) -> PathBuf {
        self.folder.path().join("hf/hub/models--tiny-org--tiny-wan/snapshots").join(COMMIT)
    }
}

fn good(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_model_is_pulled_once_and_used_by_its_name() {
    let bench = Bench::new(Manners::default());
    let planned: Value =
        serde_json::from_str(&good(&bench.wan(&["pull", MODEL, "--dry-run", "--json"]))).unwrap();
    assert_eq!(planned["missing"], planned["bytes"]);
    assert!(!bench.snapshot().exists());
    // Only what makes a film or a package of it downloads a model.
    let absent = stderr(&bench.wan(&["inspect", MODEL]));
    assert!(
        absent.contains("there is no folder") && absent.contains("hint: ") && absent.contains("wan pull"),
        "{absent}"
    );
    let paths = planned["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap());
    assert!(
        paths.clone().any(|path| path == "vae/config.json") && paths.clone().all(|path| path != "README.md")
    );

    let pulled = bench.wan(&["pull", MODEL]);
    assert_eq!(good(&pulled).trim_end(), bench.snapshot().to_str().unwrap());
    assert!(stderr(&pulled).contains("MB/s"), "{}", stderr(&pulled));
    let table = good(&bench.wan(&["pull", MODEL, "--dry-run"]));
    assert!(table.contains("0.000 MB to download") && table.contains("vae/config.json"), "{table}");
    assert!(good(&bench.wan(&["inspect", MODEL])).contains("layout: diffusers"));

    // A folder of that name wins, and without a server the cache does.
    let generate = |model: &str| {
        let flags =
            ["--prompt", "a fox", "--size", "16x16", "--frames", "1", "--steps", "1", "--device", "cpu"];
        let mut command = bench.command(&["generate", "--model", model, "--overwrite", "-o", "x.png"]);
        command.args(flags).env("HF_HUB_OFFLINE", "1");
        command.output().unwrap()
    };
    good(&generate(MODEL));
    let other = generate("tiny-org/other");
    assert!(
        stderr(&other).contains("HF_HUB_OFFLINE") && stderr(&other).contains("hint: "),
        "{}",
        stderr(&other)
    );
    fs::create_dir_all(bench.folder.path().join(MODEL)).unwrap();
    assert!(stderr(&generate(MODEL)).contains(MODEL), "an empty folder is no model");
}

#[test]
fn files_and_components_can_be_chosen() {
    let bench = Bench::new(Manners::default());
    let file = good(&bench.wan(&["pull", MODEL, "--file", "vae/config.json"]));
    assert_eq!(file.trim_end(), bench.snapshot().join("vae/config.json").to_str().unwrap());
    good(&bench.wan(&["pull", MODEL, "--only", "tokenizer", "--revision", COMMIT]));
    assert!(bench.snapshot().join("tokenizer/tokenizer.json").exists());
    assert!(!bench.snapshot().join("transformer").exists());
    for (args, message, hint) in [
        (&[MODEL, "--file", "vae/none"][..], "no file `vae/none`", "--dry-run"),
        (&[MODEL, "--only", "image_encoder"], "no image encoder", "--only"),
        (&[MODEL, "--revision", "v7"], "no revision `v7`", "branch"),
        (&["tiny-org/tiny-wann"], "no model tiny-org/tiny-wann", "spelling"),
        (&["tiny"], "`tiny` is not the name", ""),
    ] {
        let refused = bench.wan(&[&["pull"], args].concat());
        let text = stderr(&refused);
        assert!(matches!(refused.status.code(), Some(1 | 2)) && refused.stdout.is_empty(), "{text}");
        assert!(text.contains(message) && text.contains("hint: ") && text.contains(hint), "{text}");
    }
}

#[test]
fn a_server_that_breaks_off_is_asked_again() {
    let bench = Bench::new(Manners { breaks: true, ..Manners::default() });
    let folder = PathBuf::from(good(&bench.wan(&["pull", MODEL, "-q"])).trim_end());
    for (path, contents) in files(&Golden::path("tiny").join("diffusers"), "") {
        let found = fs::read(folder.join(&path));
        assert!(found.is_ok_and(|found| found == contents) || path.starts_with("tokenizer/"), "{path}");
    }
}

#[cfg(unix)]
#[test]
fn an_interrupted_pull_keeps_what_it_has() {
    let bench = Bench::new(Manners { stalls_at: Some(50_000), ..Manners::default() });
    let mut child =
        bench.command(&["pull", MODEL]).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let blobs = bench.folder.path().join("hf/hub/models--tiny-org--tiny-wan/blobs");
    let partial = || {
        let entries = fs::read_dir(&blobs).into_iter().flatten().flatten();
        let unfinished = entries.filter(|entry| entry.path().extension().is_some_and(|e| e == "incomplete"));
        unfinished.map(|entry| entry.metadata().unwrap().len()).max().unwrap_or(0)
    };
    wait_for(&mut child, || partial() >= 50_000);
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(partial() >= 50_000);
    bench.server.behave(Manners::default());
    good(&bench.wan(&["pull", MODEL]));
    assert!(
        bench.server.requests().iter().any(|line| line.ends_with(" 50000")),
        "{:?}",
        bench.server.requests()
    );
    assert_eq!(partial(), 0);
}

fn wait_for(child: &mut Child, mut ready: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !ready() {
        assert!(child.try_wait().unwrap().is_none() && Instant::now() < end, "the command ended too early");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_closed_model_wants_a_token() {
    let bench = Bench::new(Manners { token: Some("hf_right"), ..Manners::default() });
    let refused = stderr(&bench.wan(&["pull", MODEL]));
    assert!(refused.contains("hint: ") && refused.contains("HF_TOKEN"), "{refused}");
    let mut wrong = bench.command(&["pull", MODEL]);
    let wrong = stderr(&wrong.env("HF_TOKEN", "hf_wrong").output().unwrap());
    assert!(wrong.contains("conditions") && !wrong.contains("hf_wrong"), "{wrong}");
    fs::create_dir_all(bench.folder.path().join("hf")).unwrap();
    fs::write(bench.folder.path().join("hf/token"), "hf_right\n").unwrap();
    good(&bench.wan(&["pull", MODEL]));
}
