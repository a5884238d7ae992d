//! Camera paths from disk: real ones against their reference, written ones read back, and hostile files.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use burn::prelude::*;
use tempfile::TempDir;
use testkit::{Golden, Tolerance, assert_close, devices, reference_device};
use wan_import::{ImportError, camera_files, read_camera};
use wan_model::camera::{CameraError, CameraPath, Pose, control_tokens};

/// Poses some thousand units from their origin, subtracted in f32 by the official code.
const OFFICIAL_F32: Tolerance = Tolerance(1e-4);

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/camera").join(name)
}

fn real(name: &str) -> CameraPath {
    read_camera(&data(name)).unwrap()
}

fn part(path: &CameraPath, range: std::ops::Range<usize>) -> CameraPath {
    let (poses, lens) = (path.poses()[range.clone()].to_vec(), path.intrinsics()[range].to_vec());
    CameraPath::from_poses(poses, lens).unwrap()
}

fn matrices(poses: &[Pose]) -> Tensor<3> {
    let values: Vec<f32> =
        poses.iter().flat_map(|p| p.matrix().into_iter().flatten()).map(|v| v as f32).collect();
    Tensor::from_data(TensorData::new(values, [poses.len(), 4, 4]), &reference_device())
}

#[test]
fn steps_of_real_paths() {
    let golden = Golden::load("camera");
    for (name, frames) in [("00", 961), ("01", 561)] {
        let path = real(name);
        assert_eq!(path.poses().len(), frames);
        assert_eq!(path.cut(Some(81)).unwrap().poses().len(), 81);
        let steps = matrices(&path.latent_steps());
        assert_close(name, steps.clone(), golden.get(&format!("{name}.steps")), Tolerance::MODULE);
        assert_close(name, steps, golden.get(&format!("{name}.steps_f32")), OFFICIAL_F32);
    }
    let uneven = part(&real("01"), 0..42);
    assert_close("uneven", matrices(&uneven.latent_steps()), golden.get("01.uneven"), Tolerance::MODULE);
}

#[test]
fn rays_of_real_paths() {
    let golden = Golden::load("camera");
    let (first, second) = (real("00"), part(&real("01"), 100..113));
    let (shape, keys) = golden.get("01.keys");
    assert_eq!(shape, [13, 4]);
    let keys = keys.chunks_exact(4).map(|row| [row[0], row[1], row[2], row[3]]).collect();
    let steered = second.clone().with_actions(keys).unwrap();
    for target in devices() {
        let (name, device) = (target.name, &target.device);
        let control = first.cut(Some(9)).unwrap().control(16, 48, device).unwrap();
        assert_close(name, control, golden.get("00.control"), Tolerance::MODULE);
        let control = second.control(32, 16, device).unwrap();
        assert_close(name, control.clone(), golden.get("01.control"), Tolerance::MODULE);
        assert_close(name, control_tokens(control, [1, 2, 2]), golden.get("01.tokens"), Tolerance::MODULE);
        let control = steered.action_control(32, 16, device).unwrap();
        assert_close(name, control, golden.get("01.action_control"), Tolerance::MODULE);
    }
}

#[test]
fn what_is_written_is_read_back() {
    let folder = TempDir::new().unwrap();
    let path = part(&real("01"), 3..16).with_actions(vec![[1.0, 0.0, 0.0, 1.0]; 13]).unwrap();
    for (name, bytes) in camera_files(&path) {
        assert_eq!(bytes.len() % 4, 0);
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    let again = read_camera(folder.path()).unwrap();
    assert_eq!(read_camera(&folder.path().join("poses.npy")).unwrap(), again);
    assert_eq!((again.actions(), again.poses().len()), (path.actions(), 13));
    // Files of f32 hold what files of f32 held.
    assert_eq!(again.intrinsics(), path.intrinsics());
    let apart = again.poses().iter().zip(path.poses()).map(|(a, b)| a.distance(b)).fold(0.0, f64::max);
    assert_eq!(apart, 0.0);
    // The header is the one NumPy wrote.
    let (_, poses) = camera_files(&real("01")).remove(0);
    assert_eq!(&poses[..128], &fs::read(data("01").join("poses.npy")).unwrap()[..128]);
}

#[test]
fn a_cameras_json_holds_the_same() {
    let folder = TempDir::new().unwrap();
    let path = part(&real("00"), 0..9);
    let poses: Vec<_> = path.poses().iter().map(Pose::matrix).collect();
    let lens = path.intrinsics()[0].row();
    let file = folder.path().join("cameras.json");
    let write = |value: serde_json::Value| fs::write(&file, value.to_string()).unwrap();
    write(serde_json::json!({ "poses": poses, "intrinsics": [lens] }));
    let read = read_camera(folder.path()).unwrap();
    assert_eq!(read.latent_poses().len(), 3);
    assert_close(
        "poses",
        matrices(read.poses()),
        (&[9, 4, 4], &matrices(path.poses()).into_data().try_to_vec::<f32>().unwrap()),
        Tolerance::MODULE,
    );
    assert_eq!(read_camera(&file).unwrap(), read);
    for broken in [
        serde_json::json!({ "poses": poses }),
        serde_json::json!({ "poses": poses, "intrinsics": [lens], "extra": 1 }),
        serde_json::json!({ "poses": [[1, 2, 3]], "intrinsics": [lens] }),
        serde_json::json!([]),
    ] {
        write(broken);
        let error = read_camera(folder.path()).unwrap_err();
        assert!(error.to_string().contains("cameras.json: "), "{error}");
    }
    write(serde_json::json!({ "poses": [], "intrinsics": [lens] }));
    assert!(matches!(read_camera(&file), Err(ImportError::Camera { source: CameraError::Empty { .. }, .. })));
}

/// A version 1 file with this header and as many bytes of data.
fn npy(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(std::iter::repeat_n(0, data));
    bytes
}

fn header(descr: &str, order: &str, shape: &str) -> String {
    format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n")
}

/// What reading the real intrinsics with these bytes as `poses.npy` ends in.
fn refused(bytes: &[u8]) -> ImportError {
    let folder = TempDir::new().unwrap();
    fs::copy(data("00").join("intrinsics.npy"), folder.path().join("intrinsics.npy")).unwrap();
    fs::write(folder.path().join("poses.npy"), bytes).unwrap();
    read_camera(folder.path()).unwrap_err()
}

#[test]
fn hostile_arrays_are_refused() {
    let good = fs::read(data("00").join("poses.npy")).unwrap();
    for length in [0, 5, 6, 9, 10, 60, 127, 128, 129, good.len() - 1] {
        let error = refused(&good[..length]);
        assert!(matches!(error, ImportError::Format { format: "NPY", .. }), "{length}: {error}");
        assert!(error.hint().is_some() && error.to_string().contains("poses.npy"), "{error}");
    }
    for header in [
        header("'<f4'", "False", "(1000000000000, 4, 4)"),
        header("'<f4'", "False", "(4611686018427387904, 4, 4)"),
        header("'<f4'", "False", "(18446744073709551615, 18446744073709551615)"),
        header("'<f4'", "False", "(99999999999999999999999999, 4, 4)"),
        header("'<f4'", "False", "(-1, 4, 4)"),
        header("'<f4'", "False", "1"),
        header("[('x', '<f4')]", "False", "(1, 4, 4)"),
        header("'<f4'", "Perhaps", "(1, 4, 4)"),
        header("'<f4'", "False", &"(".repeat(60000)),
        "{".repeat(60000),
        "{'descr': '<f4', 'descr': '<f4'}".to_owned(),
        "{'shape': (1,)}".to_owned(),
        "\u{e9}".to_owned(),
        String::new(),
    ] {
        let error = refused(&npy(&header, 64));
        assert!(matches!(error, ImportError::Format { .. }), "{error}");
    }
}

#[test]
fn arrays_of_another_kind_are_refused() {
    let cases = [
        (header("'<i4'", "False", "(1, 4, 4)"), "the dtype is <i4, and one of <f4, <f8 is needed"),
        (header("'>f4'", "False", "(1, 4, 4)"), "the dtype is >f4"),
        (header("'|O'", "False", "(1, 4, 4)"), "the dtype is |O"),
        (header("'<f4'", "True", "(1, 4, 4)"), "Fortran order"),
        (header("'<f4'", "False", "(4, 4)"), "the shape is [4, 4], and [N, 4, 4] is needed"),
        (header("'<f4'", "False", "(1, 16)"), "the shape is [1, 16]"),
        (header("'<f4'", "False", "(16,)"), "the shape is [16]"),
        (header("'<f8'", "False", "()"), "the shape is []"),
    ];
    for (header, part) in cases {
        let bytes = if header.contains("f8") { 8 } else { 64 };
        let error = refused(&npy(&header, bytes));
        assert!(matches!(error, ImportError::Array { .. }) && error.to_string().contains(part), "{error}");
        assert!(error.hint().unwrap().contains("np.float32"));
    }
    let zeros = refused(&npy(&header("'<f8'", "False", "(1, 4, 4)"), 128));
    assert!(zeros.to_string().contains("pose 0 is not rigid"), "{zeros}");
    let none = refused(&npy(&header("'<f8'", "False", "(0, 4, 4)"), 0));
    assert!(none.to_string().contains("has no poses"), "{none}");
}

#[test]
fn f64_and_other_versions_are_read() {
    let folder = TempDir::new().unwrap();
    let text = "{\"shape\": (2, 4), \"descr\": \"<f8\", \"fortran_order\": False}";
    let lens = [503.0f64, 503.0, 416.0, 240.0];
    let mut bytes = b"\x93NUMPY\x03\x00".to_vec();
    bytes.extend((text.len() as u32).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes.extend(lens.iter().chain(&lens).flat_map(|value| value.to_le_bytes()));
    fs::write(folder.path().join("intrinsics.npy"), bytes).unwrap();
    fs::copy(data("00").join("poses.npy"), folder.path().join("poses.npy")).unwrap();
    assert_eq!(read_camera(folder.path()).unwrap().intrinsics()[1].row(), lens);
}

#[test]
fn missing_files_are_named() {
    let folder = TempDir::new().unwrap();
    let error = read_camera(folder.path()).unwrap_err();
    assert!(error.to_string().contains("holds neither poses.npy nor cameras.json"), "{error}");
    fs::copy(data("00").join("poses.npy"), folder.path().join("poses.npy")).unwrap();
    let error = read_camera(folder.path()).unwrap_err();
    assert!(error.to_string().contains("intrinsics.npy: "), "{error}");
    fs::create_dir(folder.path().join("intrinsics.npy")).unwrap();
    let error = read_camera(folder.path()).unwrap_err();
    assert!(error.to_string().contains("not a regular file"), "{error}");
}
