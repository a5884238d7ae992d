//! Defaults from files and the environment, completions, manual pages, logs.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wan"));
    command
        .current_dir(folder)
        .args(args)
        .env_remove("WAN_CONFIG")
        .env_remove("RUST_LOG")
        .env_remove("WAN_LOG");
    command.env("XDG_CONFIG_HOME", folder.join("config")).env("APPDATA", folder.join("config"));
    command.env("WAN_CACHE", folder.join("cache"));
    command
}

fn good(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn the_nearest_place_wins_and_is_told() {
    let folder = TempDir::new().unwrap();
    fs::create_dir_all(folder.path().join("config/wan")).unwrap();
    fs::write(folder.path().join("config/wan/wan.toml"), "steps = 1\nshift = 2\nfps = 8\nseed = 3\n")
        .unwrap();
    fs::write(folder.path().join("wan.toml"), "steps = 2\nshift = 3\nfps = 9\n").unwrap();
    let mut config = command(folder.path(), &["config", "--json", "--steps", "4"]);
    let told: Value = serde_json::from_str(&good(&config.env("WAN_SHIFT", "5").output().unwrap())).unwrap();
    let from =
        |name: &str| (told[name]["value"].as_f64().unwrap(), told[name]["from"].as_str().unwrap().to_owned());
    assert_eq!(from("steps"), (4.0, "flag".into()));
    assert_eq!(from("shift"), (5.0, "WAN_SHIFT".into()));
    assert_eq!(from("fps"), (9.0, "wan.toml".into()));
    let (seed, place) = from("seed");
    assert!(seed == 3.0 && Path::new(&place).ends_with("config/wan/wan.toml"), "{place}");
    let lines = good(&command(folder.path(), &["config"]).output().unwrap());
    assert!(lines.contains("fps = 9  # wan.toml\n"), "{lines}");

    // One file instead of both, or none.
    fs::write(folder.path().join("other.toml"), "steps = 7\n").unwrap();
    let other = good(&command(folder.path(), &["config"]).env("WAN_CONFIG", "other.toml").output().unwrap());
    assert_eq!(other, "steps = 7  # other.toml\n");
    assert_eq!(good(&command(folder.path(), &["config"]).env("WAN_CONFIG", "").output().unwrap()), "");
    let absent = command(folder.path(), &["config"]).env("WAN_CONFIG", "absent.toml").output().unwrap();
    assert_eq!(absent.status.code(), Some(2));
}

#[test]
fn generate_follows_them() {
    let folder = TempDir::new().unwrap();
    let settings =
        "model = \"demo\"\nprompt = \"a red ball\"\nframes = 5\nsteps = 1\nseed = 7\ndevice = \"cpu\"\n";
    fs::write(folder.path().join("wan.toml"), settings).unwrap();
    let made = good(&command(folder.path(), &["generate", "--json"]).env("WAN_SEED", "8").output().unwrap());
    let report: Value = serde_json::from_str(&made).unwrap();
    assert_eq!((report["seed"].as_u64(), report["frames"].as_u64()), (Some(8), Some(5)), "{report}");
    fs::write(folder.path().join("wan.toml"), "prompts = \"a red ball\"\n").unwrap();
    let refused = command(folder.path(), &["generate"]).output().unwrap();
    let text = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{text}");
    assert!(text.contains("no setting `prompts`") && text.contains("hint: is `prompt` meant?"), "{text}");
}

#[test]
fn completions_and_pages_name_every_command() {
    let folder = TempDir::new().unwrap();
    let commands = ["generate", "inspect", "convert", "pull", "camera", "config", "doctor", "man"];
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = good(&command(folder.path(), &["completions", shell]).output().unwrap());
        assert!(commands.iter().all(|name| script.contains(name)) && script.contains("guidance"), "{shell}");
    }
    good(&command(folder.path(), &["man", "pages"]).output().unwrap());
    for name in commands {
        let page = fs::read_to_string(folder.path().join(format!("pages/wan-{name}.1"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS"), "{name}");
    }
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let refused = command(folder.path(), &["man", "file"]).output().unwrap();
    assert!(
        refused.status.code() == Some(1) && String::from_utf8(refused.stderr).unwrap().contains("hint: ")
    );
}

#[test]
fn more_is_said_when_asked() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("wan.toml"), "steps = 2\n").unwrap();
    let logged = |args: &[&str], variable: (&str, &str)| {
        let output = command(folder.path(), args).env(variable.0, variable.1).output().unwrap();
        good(&output);
        String::from_utf8(output.stderr).unwrap().contains("settings of wan.toml")
    };
    let none = ("NO_COLOR", "1");
    assert!(!logged(&["config"], none));
    assert!(logged(&["config", "-v"], none) && logged(&["-vv", "config"], none));
    assert!(logged(&["config"], ("RUST_LOG", "wan_cli=info")));
    assert!(!logged(&["config", "-v"], ("WAN_LOG", "error")));
    let both = command(folder.path(), &["config", "-v", "-q"]).output().unwrap();
    assert_eq!(both.status.code(), Some(2));
}
