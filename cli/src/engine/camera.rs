//! Camera paths: made from text, read, and summed up.

use std::path::Path;

use serde::Serialize;
pub use wan_import::{ACTIONS, camera_files};
use wan_model::camera::{CameraError, Intrinsics, MAX_POSES, Motion, frame_steps, normalise};
pub use wan_model::camera::{CameraPath, Pose, relative_to_first};
use wan_pipeline::PipelineError;

use super::EngineError;

/// What a path does; lengths in its own units, angles in degrees.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    pub frames: usize,
    /// The `4n + 1` of them that a model takes.
    pub used_frames: usize,
    pub latent_frames: usize,
    /// Along the path.
    pub length: f64,
    /// From its start to its end.
    pub distance: f64,
    /// Between two latent frames; what the network takes for 1.
    pub largest_step: f64,
    /// The frame the largest step starts from.
    pub largest_step_frame: usize,
    /// Sum of all turns.
    pub turned: f64,
    /// How the last camera is turned against the first.
    pub end: Turn,
    /// Horizontal and vertical.
    pub angles_of_view: [f64; 2],
    /// fx, fy, cx, cy of the first frame, for 480x832.
    pub intrinsics: [f64; 4],
    /// Rows that differ from the first, which the network does not see.
    pub intrinsics_change: bool,
    pub actions: bool,
}

/// Where a camera looks from the first camera's place, in degrees.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Turn {
    pub right: f64,
    pub up: f64,
    pub clockwise: f64,
}

/// The path a line of words or keys describes, with the lens of the published examples.
///
/// # Errors
/// Text that cannot be read, words without a number of frames, fewer frames than the keys take, fewer than 5 and
/// absurdly many.
pub fn make(motion: &str, frames: Option<usize>) -> Result<CameraPath, EngineError> {
    let motion: Motion = motion.parse().map_err(usage)?;
    let frames = match (frames, motion.frames()) {
        (Some(asked), Some(taken)) if asked < taken => {
            let message = format!("the keys take {taken} frames, more than the {asked} asked for");
            return Err(refused(message, format!("leave --frames out, or use --frames {taken}")));
        }
        (Some(frames), _) | (None, Some(frames)) => frames,
        (None, None) => {
            let message = "words do not say how many frames they take".to_owned();
            return Err(refused(message, "add --frames, for example --frames 81".to_owned()));
        }
    };
    if frames > MAX_POSES {
        return Err(usage(CameraError::TooLong { poses: frames }));
    }
    let mut poses = motion.poses(frames);
    poses.truncate(frames);
    let path = CameraPath::from_poses(poses, vec![Intrinsics::PUBLISHED]).map_err(usage)?;
    path.cut(None).map_err(usage)?;
    match motion.actions(frames) {
        Some(actions) => path.with_actions(actions).map_err(usage),
        None => Ok(path),
    }
}

/// Reads a folder or a `cameras.json`.
pub fn read(path: &Path) -> Result<CameraPath, EngineError> {
    Ok(wan_import::read_camera(path).map_err(PipelineError::from)?)
}

fn refused(message: String, hint: String) -> EngineError {
    EngineError { message, hint: Some(hint), usage: true, interrupted: false }
}

fn usage(error: CameraError) -> EngineError {
    EngineError { message: error.to_string(), hint: error.hint(), usage: true, interrupted: false }
}

/// Sums up a path.
///
/// # Errors
/// If it is too short to be a motion.
pub fn summary(path: &CameraPath) -> Result<Summary, EngineError> {
    let cut = path.cut(None).map_err(usage)?;
    let (poses, lens) = (path.poses(), path.intrinsics()[0]);
    let latent = cut.latent_poses();
    let mut steps = frame_steps(&latent);
    let largest_step = normalise(&mut steps);
    // The first of those that differ by rounding only.
    let mut distances = latent.windows(2).map(|pair| pair[0].distance(&pair[1]));
    let largest = distances.position(|distance| distance > largest_step * (1.0 - 1e-6)).unwrap_or(0);
    let (first, last) = (poses[0], poses[poses.len() - 1]);
    Ok(Summary {
        frames: poses.len(),
        used_frames: cut.poses().len(),
        latent_frames: latent.len(),
        length: poses.windows(2).map(|pair| pair[0].distance(&pair[1])).sum(),
        distance: first.distance(&last),
        largest_step,
        largest_step_frame: largest * 4,
        turned: frame_steps(poses).iter().map(angle).sum(),
        end: turn(&first.relative(&last)),
        angles_of_view: lens.angles_of_view(),
        intrinsics: lens.row(),
        intrinsics_change: path.intrinsics().iter().any(|row| *row != lens),
        actions: path.actions().is_some(),
    })
}

/// Of a rotation, from its distance to the identity: exact for small ones too.
fn angle(pose: &Pose) -> f64 {
    let apart = pose.rotation.iter().zip(Pose::IDENTITY.rotation).flat_map(|(row, unit)| {
        let [a, b, c]: [f64; 3] = std::array::from_fn(|i| (row[i] - unit[i]).powi(2));
        [a, b, c]
    });
    let half = (apart.sum::<f64>() / 8.0).sqrt();
    2.0 * half.min(1.0).asin().to_degrees()
}

fn turn(pose: &Pose) -> Turn {
    let [x, y, z] = pose.forward();
    let [_, [across, down, _], _] = pose.rotation;
    Turn {
        right: x.atan2(z).to_degrees(),
        up: (-y).atan2(x.hypot(z)).to_degrees(),
        clockwise: across.atan2(down).to_degrees(),
    }
}
