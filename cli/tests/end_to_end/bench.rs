//! A folder of its own for each test, and the command lines run in it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
};

use safetensors::{Dtype, tensor::TensorView};
use tempfile::TempDir;
use testkit::Golden;

/// A folder with `noise.safetensors` in it, the golden runs' noise.
pub struct Bench {
    folder: TempDir,
}

/// The cache of all runs of this test binary, empty at its start: a device's kernels are checked once.
static CACHE: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("end-to-end-cache");
    let _ = fs::remove_dir_all(&folder);
    folder
});

/// What a command left on its streams.
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Bench {
    pub fn new() -> Self {
        let bench = Self { folder: TempDir::new().unwrap() };
        let golden = Golden::load("pipeline");
        let (shape, values) = golden.get("noise");
        bench.write_noise("noise.safetensors", shape, values);
        bench
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write_noise(&self, name: &str, shape: &[usize], values: &[f32]) {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let view = TensorView::new(Dtype::F32, shape.to_vec(), &bytes).unwrap();
        safetensors::serialize_to_file([("noise", view)], None, &self.path(name)).unwrap();
    }

    /// A copy of a tiny checkpoint that a test may damage; its path relative to the folder.
    pub fn copy(&self, layout: &str) -> String {
        copy_all(&tiny(layout), &self.path(layout));
        layout.to_owned()
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wan"));
        command.current_dir(&self.folder).args(args).stdin(Stdio::null());
        command.env("WAN_CACHE", &*CACHE).env_remove("WAN_KERNELS");
        command.env("WAN_STATE", self.path(STATE));
        command
    }

    pub fn wan(&self, args: &[&str]) -> Ended {
        Ended::of(self.command(args))
    }

    /// `generate` as the golden runs, with some flags changed and others added.
    pub fn generate(&self, flags: &[(&str, &str)], switches: &[&str]) -> Ended {
        Ended::of(self.generation(flags, switches))
    }

    pub fn generation(&self, flags: &[(&str, &str)], switches: &[&str]) -> Command {
        let golden = Golden::load("pipeline");
        let model = tiny("diffusers").display().to_string();
        let common = [
            ("--model", model.as_str()),
            ("--prompt", golden.text("prompt")),
            ("--negative", golden.text("negative")),
            ("--size", "48x32"),
            ("--frames", "9"),
            ("--steps", "6"),
            ("--guidance", "5"),
            ("--noise", "noise.safetensors"),
            ("--device", "cpu"),
            ("--output", "x.mp4"),
        ];
        let flags: BTreeMap<_, _> = common.into_iter().chain(flags.iter().copied()).collect();
        let given = flags.into_iter().filter(|(_, value)| *value != ABSENT);
        let mut command = self.command(&["generate"]);
        command.args(given.flat_map(|(flag, value)| [flag, value])).args(switches);
        command
    }

    /// Names in the folder, hidden ones too, without the noise, copies of checkpoints and the states of runs.
    pub fn left(&self) -> Vec<String> {
        let inputs = [STATE, "noise.safetensors", "diffusers", "official"];
        let entries = fs::read_dir(&self.folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| !inputs.contains(&name.as_str())).collect()
    }
}

/// The folder of the states of runs.
pub const STATE: &str = "state";

/// As a flag's value: leaves the flag out.
pub const ABSENT: &str = "\0";

impl Ended {
    pub fn of(mut command: Command) -> Self {
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Panics with stderr unless the command succeeded.
    pub fn good(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        assert!(!self.stderr.contains("error:"), "{}", self.stderr);
        self
    }

    /// Asserts exit code 1 or 2 and one `error:` line that holds `error`, then a `hint:` line that holds `hint`
    /// (unless empty), and no trace of a panic.
    pub fn refused(&self, error: &str, hint: &str) {
        let stderr = &self.stderr;
        assert!(matches!(self.code, Some(1 | 2)), "{:?} {stderr}", self.code);
        assert!(self.stdout.is_empty(), "{}", self.stdout);
        let lines = |start: &str| stderr.lines().filter(|l| l.starts_with(start)).collect::<Vec<_>>();
        let (errors, hints) = (lines("error:"), lines("hint:"));
        assert!(errors.len() == 1 && errors[0].contains(error), "no {error:?} in: {stderr}");
        assert!(hints.len() <= 1 && !stderr.contains("panicked at"), "{stderr}");
        assert!(hint.is_empty() || hints.iter().any(|line| line.contains(hint)), "no {hint:?} in: {stderr}");
    }
}

/// A tiny checkpoint's folder.
pub fn tiny(layout: &str) -> PathBuf {
    Golden::path("tiny").join(layout)
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_all(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
