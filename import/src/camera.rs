//! Camera paths on disk: a folder of `.npy` files, or one `cameras.json`.

use std::path::Path;

use serde::Deserialize;
use wan_model::camera::{CameraError, CameraPath};

use crate::{
    ImportError, json,
    npy::{self, Array, Number},
};

const POSES: &str = "poses.npy";
const INTRINSICS: &str = "intrinsics.npy";
/// The file of a path's keys.
pub const ACTIONS: &str = "action.npy";
const CAMERAS: &str = "cameras.json";

/// Largest `cameras.json`, in bytes: some 50000 poses.
const MAX_JSON: u64 = 16 << 20;

/// `cameras.json`: the arrays of the `.npy` files as nested lists.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cameras {
    /// `[N, 4, 4]`.
    poses: Vec<[[f64; 4]; 4]>,
    /// `[N, 4]`, or one row for all.
    intrinsics: Vec<[f64; 4]>,
    /// `[N, 4]`.
    actions: Option<Vec<[f32; 4]>>,
}

/// Reads a camera path.
///
/// A folder holds `poses.npy` (`[N, 4, 4]`, camera to world, x right, y down, z forward), `intrinsics.npy` (`[N, 4]`:
/// fx, fy, cx, cy in pixels of a 480x832 image) and, for models that move by keys, `action.npy` (`[N, 4]`: W, A, S,
/// D). `poses.npy` may be named for its folder. Without it the folder's `cameras.json` is read, which a path may also
/// name directly: an object of `poses`, `intrinsics` and, if there are any, `actions`, with the same numbers in nested
/// lists.
///
/// # Errors
/// Missing, damaged, oversized files and arrays of other shapes or dtypes; [`ImportError::Camera`] for what the numbers
/// say.
pub fn read_camera(path: &Path) -> Result<CameraPath, ImportError> {
    // The file that a folder is known by stands for the folder.
    let of_poses = path.parent().filter(|_| path.is_file() && path.ends_with(POSES));
    let path = of_poses.unwrap_or(path);
    let cameras = path.join(CAMERAS);
    if path.is_file() {
        read_json(path)
    } else if path.join(POSES).exists() {
        read_folder(path)
    } else if cameras.exists() {
        read_json(&cameras)
    } else {
        Err(ImportError::NoCamera { path: path.to_owned() })
    }
}

/// The files of a path by their names: poses and intrinsics in f32, actions, if it has any, in i32.
pub fn camera_files(path: &CameraPath) -> Vec<(&'static str, Vec<u8>)> {
    let poses = path.poses();
    let matrices = poses.iter().flat_map(|pose| pose.matrix().into_iter().flatten());
    // One row for each pose, as the official code has it; the last is repeated where there are fewer.
    let rows = path.intrinsics();
    let lens = (0..poses.len()).flat_map(|frame| rows[frame.min(rows.len() - 1)].row());
    let mut files = vec![
        (POSES, npy::encode(&[poses.len(), 4, 4], matrices)),
        (INTRINSICS, npy::encode(&[poses.len(), 4], lens)),
    ];
    if let Some(actions) = path.actions() {
        let keys = actions.iter().flatten().map(|&key| key as i32);
        files.push((ACTIONS, npy::encode_integers(&[actions.len(), 4], keys)));
    }
    files
}

fn read_folder(folder: &Path) -> Result<CameraPath, ImportError> {
    let poses = rows::<16>(&folder.join(POSES), &[4, 4], &Number::FLOATS)?;
    let poses: Vec<[[f64; 4]; 4]> = poses
        .iter()
        .map(|values| std::array::from_fn(|i| std::array::from_fn(|j| values[4 * i + j])))
        .collect();
    let intrinsics = rows::<4>(&folder.join(INTRINSICS), &[4], &Number::FLOATS)?;
    let actions = folder.join(ACTIONS);
    let actions = if actions.exists() { Some(rows::<4>(&actions, &[4], &Number::ALL)?) } else { None };
    let actions = actions.map(|rows| rows.into_iter().map(|row| row.map(|key| key as f32)).collect());
    checked(folder, &poses, &intrinsics, actions)
}

fn read_json(path: &Path) -> Result<CameraPath, ImportError> {
    let cameras: Cameras = json::read_as(path, MAX_JSON)?;
    checked(path, &cameras.poses, &cameras.intrinsics, cameras.actions)
}

fn checked(
    path: &Path,
    poses: &[[[f64; 4]; 4]],
    intrinsics: &[[f64; 4]],
    actions: Option<Vec<[f32; 4]>>,
) -> Result<CameraPath, ImportError> {
    let refuse = |source: CameraError| ImportError::Camera { path: path.to_owned(), source };
    let camera = CameraPath::new(poses, intrinsics).map_err(refuse)?;
    match actions {
        Some(actions) => camera.with_actions(actions).map_err(refuse),
        None => Ok(camera),
    }
}

/// The `N` numbers of each row of an array of shape `[rows, ..each]`.
fn rows<const N: usize>(
    path: &Path,
    each: &[usize],
    accepted: &[Number],
) -> Result<Vec<[f64; N]>, ImportError> {
    let Array { shape, values } = npy::read(path, accepted)?;
    if shape.get(1..) != Some(each) {
        let detail = format!("the shape is {shape:?}, and [N, {}] is needed", list(each));
        return Err(ImportError::Array { path: path.to_owned(), detail });
    }
    Ok(values.as_chunks::<N>().0.to_vec())
}

fn list(lengths: &[usize]) -> String {
    lengths.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}
