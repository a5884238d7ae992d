//! `wan camera`: made, looked at, read back, and refused.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

fn wan(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wan")).current_dir(folder).arg("camera").args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Exit code 0; what is on stdout.
fn good(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout)
}

fn shown(folder: &Path, path: &str) -> Value {
    serde_json::from_str(&good(&wan(folder, &["show", path, "--json"]))).unwrap()
}

fn assert_refused(output: &Output, code: i32, parts: &[&str]) {
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(output.stdout.is_empty() && stderr.starts_with("error: "), "{stderr}");
    assert!(!stderr.contains("panic"), "{stderr}");
    for part in parts.iter().chain(&["hint: "]) {
        assert!(stderr.contains(part), "no {part:?} in: {stderr}");
    }
}

fn near(value: &Value, expected: f64) -> bool {
    (value.as_f64().unwrap() - expected).abs() < 1e-4
}

fn entries(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_path_in_words_is_made_and_shown() {
    let bench = TempDir::new().unwrap();
    let folder = bench.path();
    let made = wan(folder, &["make", "-o", "a/walk", "--frames", "61", "forward 2, left 30deg, up 10deg"]);
    assert_eq!((good(&made), text(&made.stderr)), ("a/walk\n".to_owned(), String::new()));
    assert_eq!(entries(&folder.join("a/walk")), ["intrinsics.npy", "poses.npy"]);
    let seen = shown(folder, "a/walk");
    for (key, expected) in [("frames", 61), ("used_frames", 61), ("latent_frames", 16)] {
        assert_eq!(seen[key], expected, "{seen}");
    }
    assert!(near(&seen["length"], 2.0) && near(&seen["distance"], 2.0), "{seen}");
    // As many frames as keys would take, so a latent frame is four of their steps.
    assert!(
        near(&seen["largest_step"], 0.2) && seen["largest_step_frame"] == 0 && near(&seen["turned"], 40.0),
        "{seen}"
    );
    let end = &seen["end"];
    assert!(near(&end["right"], -30.0) && near(&end["up"], 10.0) && near(&end["clockwise"], 0.0), "{seen}");
    assert!(near(&seen["intrinsics"][0], 502.9116) && seen["actions"] == false, "{seen}");
    let told = good(&wan(folder, &["show", "a/walk"]));
    for part in
        ["61, of which 61 are taken (4n+1): 16 latent", "2.0000 along", "30.0 left, 10.0 up", "79.2 x 51.0"]
    {
        assert!(told.contains(part), "no {part:?} in: {told}");
    }
}

#[test]
fn a_path_in_keys_brings_its_frames_and_actions() {
    let bench = TempDir::new().unwrap();
    let folder = bench.path();
    assert_eq!(good(&wan(folder, &["make", "-o", "keys", "w-3,iw-1,none-5"])), "keys\n");
    assert_eq!(entries(&folder.join("keys")), ["action.npy", "intrinsics.npy", "poses.npy"]);
    let seen = shown(folder, "keys");
    assert!(seen["frames"] == 9 && seen["actions"] == true, "{seen}");
    assert!(near(&seen["length"], 0.2) && near(&seen["end"]["up"], 2.0), "{seen}");
    // The same folder with words again: no keys of before stay.
    let words = ["make", "-o", "keys", "--frames", "9", "--overwrite", "right 1"];
    good(&wan(folder, &words));
    assert_eq!(entries(&folder.join("keys")), ["intrinsics.npy", "poses.npy"]);
    assert_eq!(shown(folder, "keys")["actions"], false);
}

#[test]
fn frames_beyond_4n_plus_1_are_noted() {
    let bench = TempDir::new().unwrap();
    let made = wan(bench.path(), &["make", "-o", "p", "--frames", "80", "forward 1"]);
    good(&made);
    assert_eq!(text(&made.stderr), "note: models take 4n+1 frames: 77 of these 80\n");
    assert_eq!(shown(bench.path(), "p")["used_frames"], 77);
    let quiet = wan(bench.path(), &["-q", "make", "-o", "q", "--frames", "80", "forward 1"]);
    assert!(quiet.stderr.is_empty());
}

#[test]
fn pictures_are_drawn() {
    let bench = TempDir::new().unwrap();
    let folder = bench.path();
    good(&wan(folder, &["make", "-o", "p", "--frames", "41", "forward 2, left 90deg, forward 1, up 0.5"]));
    let told = good(&wan(folder, &["show", "p", "-o", "p.png"]));
    assert!(
        told.contains("picture       p.png: left from above") && told.contains("the bar is 0.5 long"),
        "{told}"
    );
    let image = image::open(folder.join("p.png")).unwrap().to_rgb8();
    assert_eq!(image.dimensions(), (1000, 520));
    let count = |low: u32, colour: [u8; 3]| {
        image.enumerate_pixels().filter(|(x, _, p)| (low..low + 500).contains(x) && p.0 == colour).count()
    };
    for left in [0, 500] {
        assert!(count(left, [31, 119, 180]) > 30 && count(left, [214, 39, 40]) > 30, "start and end");
        assert!(count(left, [255; 3]) > 200_000);
    }
    good(&wan(folder, &["show", "p", "-o", "p.svg"]));
    let svg = fs::read_to_string(folder.join("p.svg")).unwrap();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    assert!(svg.contains(">from above, forward is up<") && svg.contains(">0.5</text>"));
    assert_eq!(svg.matches("<circle ").count(), 2 * (24 + 2));
    assert_refused(&wan(folder, &["show", "p", "-o", "p.svg"]), 2, &["p.svg exists", "--overwrite"]);
    good(&wan(folder, &["show", "p", "-o", "p.svg", "--overwrite"]));
    assert_refused(
        &wan(folder, &["show", "p", "-o", "p.gif"]),
        2,
        &["p.gif: a picture is a .png or an .svg"],
    );
    assert_eq!(entries(folder), ["p", "p.png", "p.svg"]);
}

/// A camera that only turns has no length to scale by.
#[test]
fn a_turn_on_the_spot_is_drawn() {
    let bench = TempDir::new().unwrap();
    good(&wan(bench.path(), &["make", "-o", "p", "--frames", "9", "right 90deg"]));
    let told = good(&wan(bench.path(), &["show", "p", "-o", "p.svg"]));
    assert!(told.contains("0.0000 between latent frames\n") && !told.contains("bar"), "{told}");
    assert!(!fs::read_to_string(bench.path().join("p.svg")).unwrap().contains("NaN"));
}

#[test]
fn real_paths_are_shown() {
    let real = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/camera/01").display().to_string();
    let bench = TempDir::new().unwrap();
    let seen = shown(bench.path(), &real);
    assert!(
        seen["frames"] == 561 && seen["latent_frames"] == 141 && seen["intrinsics_change"] == true,
        "{seen}"
    );
    let told = good(&wan(bench.path(), &["show", &real]));
    assert!(told.contains("it changes, and the first frame's counts"), "{told}");
}

#[test]
fn what_cannot_be_made_is_refused() {
    let bench = TempDir::new().unwrap();
    let folder = bench.path();
    let make = |args: &[&str]| wan(folder, &[&["make", "-o", "p"], args].concat());
    assert_refused(&make(&["forward 2"]), 2, &["how many frames", "--frames 81"]);
    assert_refused(&make(&["--frames", "4", "forward 2"]), 2, &["too short: 4 poses"]);
    assert_refused(&make(&["--frames", "99999999999", "forward 2"]), 2, &["too long: 99999999999 poses"]);
    assert_refused(
        &make(&["--frames", "9", "forward 2, jump"]),
        2,
        &["`jump` (character 12): expected forward"],
    );
    assert_refused(&make(&["w-3,q-2"]), 2, &["`q-2` (character 5): the keys are", "w-3,iw-1"]);
    assert_refused(&make(&["--frames", "5", "w-6"]), 2, &["take 9 frames, more than the 5", "--frames 9"]);
    assert_refused(&make(&["--frames", "0", "w-3"]), 2, &["--frames"]);
    assert!(entries(folder).is_empty());
    good(&make(&["w-9"]));
    assert_refused(&make(&["w-9"]), 2, &["exists", "--overwrite"]);
    fs::write(folder.join("file"), "").unwrap();
    assert_refused(&wan(folder, &["make", "-o", "file/p", "w-9"]), 2, &["file/p"]);
}

#[test]
fn what_cannot_be_shown_is_refused() {
    let bench = TempDir::new().unwrap();
    let folder = bench.path();
    assert_refused(&wan(folder, &["show", "absent"]), 2, &["absent does not exist"]);
    fs::create_dir(folder.join("p")).unwrap();
    assert_refused(
        &wan(folder, &["show", "p"]),
        1,
        &["neither poses.npy nor cameras.json", "wan camera make"],
    );
    good(&wan(folder, &["make", "-o", "p", "--overwrite", "w-9"]));
    let good_poses = fs::read(folder.join("p/poses.npy")).unwrap();
    let show = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good_poses.clone();
        change(&mut bytes);
        fs::write(folder.join("p/poses.npy"), bytes).unwrap();
        wan(folder, &["show", "p"])
    };
    assert_refused(&show(&|bytes| bytes.truncate(200)), 1, &["poses.npy: not a valid NPY file", "download"]);
    assert_refused(&show(&|bytes| bytes.truncate(7)), 1, &["poses.npy: not a valid NPY file"]);
    let huge = |bytes: &mut Vec<u8>| {
        let at = bytes.windows(3).position(|w| w == b"(9,").unwrap();
        bytes.splice(at..at + 3, *b"(9999999999999,");
    };
    assert_refused(&show(&huge), 1, &["poses.npy: not a valid NPY file"]);
    let wrong_kind = |bytes: &mut Vec<u8>| {
        let at = bytes.windows(3).position(|w| w == b"<f4").unwrap();
        bytes[at + 1] = b'i';
    };
    assert_refused(&show(&wrong_kind), 1, &["poses.npy: the dtype is <i4", "np.float32"]);
    // The last pose's first value.
    let bent = |bytes: &mut Vec<u8>| {
        let at = bytes.len() - 64;
        bytes[at..at + 4].copy_from_slice(&3f32.to_le_bytes());
    };
    assert_refused(&show(&bent), 1, &["pose 8 is not rigid", "camera-to-world"]);
    fs::write(folder.join("p/poses.npy"), &good_poses).unwrap();
    let lens = serde_json::json!({
        "poses": [[[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]],
        "intrinsics": [[900, 900, 640, 360]],
    });
    fs::write(folder.join("cameras.json"), lens.to_string()).unwrap();
    let parts = ["intrinsics are those of another image size", "for a 1280x720 image multiply"];
    assert_refused(&wan(folder, &["show", "cameras.json"]), 1, &parts);
    let short = lens.to_string().replace("900,900,640,360", "500,500,416,240");
    fs::write(folder.join("cameras.json"), short).unwrap();
    assert_refused(&wan(folder, &["show", "cameras.json"]), 2, &["too short: 1 poses"]);
}

#[test]
fn help_shows_an_example() {
    let bench = TempDir::new().unwrap();
    for command in ["make", "show"] {
        let help = good(&wan(bench.path(), &[command, "--help"]));
        assert!(help.contains(&format!("\n  wan camera {command} ")), "{help}");
    }
}
