//! What can be wrong with a camera path, and the way out.

use thiserror::Error;

use super::{LEAST_POSES, MAX_POSES, TRAINED_HEIGHT, TRAINED_WIDTH};
use crate::LatentError;

/// A path the network cannot follow; [`Self::hint`] says what to do about it.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum CameraError {
    #[error("the camera path has no {what}")]
    Empty { what: &'static str },
    #[error("row {row} of the {what} holds NaN, infinity or a number beyond 1e9")]
    NotFinite { what: &'static str, row: usize },
    #[error("pose {frame} is not rigid: {reason}")]
    NotRigid { frame: usize, reason: String },
    #[error("row {row} of the intrinsics has a focal length that is not positive: {fx}, {fy}")]
    FocalLength { row: usize, fx: f64, fy: f64 },
    /// A principal point far from the middle.
    #[error(
        "the intrinsics are those of another image size: {TRAINED_WIDTH}x{TRAINED_HEIGHT} is expected, and row {row} \
         has its centre at {cx:.1}, {cy:.1}"
    )]
    AnotherSize { row: usize, cx: f64, cy: f64 },
    #[error("the camera path is too short: {poses} poses, and {LEAST_POSES} are the least")]
    TooShort { poses: usize },
    #[error("the camera path is too long: {poses} poses, and {MAX_POSES} are the most")]
    TooLong { poses: usize },
    #[error("{actions} rows of actions for {poses} poses")]
    ActionsTooShort { actions: usize, poses: usize },
    #[error("the camera path has no actions")]
    NoActions,
    /// A motion that cannot be read, or that no camera should make.
    #[error("`{piece}` (character {at}): {reason}")]
    Motion { piece: String, at: usize, reason: String },
    #[error(transparent)]
    Size(#[from] LatentError),
}

impl CameraError {
    /// Advice for the message's own `hint:` line.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotRigid { .. } => {
                "poses are camera-to-world matrices [R t; 0 0 0 1] with x right, y down, z forward".into()
            }
            Self::AnotherSize { cx, cy, .. } => {
                let (width, height) = ((2.0 * cx).round(), (2.0 * cy).round());
                format!(
                    "for a {width}x{height} image multiply fx and cx by {TRAINED_WIDTH}/{width}, fy and cy by \
                     {TRAINED_HEIGHT}/{height}"
                )
            }
            Self::TooShort { .. } => "one pose for each frame, 4n+1 of them".into(),
            Self::TooLong { .. } => format!("use at most {MAX_POSES} frames"),
            Self::ActionsTooShort { .. } => "one row of W, A, S, D for each pose".into(),
            Self::Motion { .. } => {
                "write moves such as \"forward 2, left 30deg, up 10deg\", or keys such as \"w-3,iw-1,none-5\""
                    .into()
            }
            _ => return None,
        };
        Some(hint)
    }
}
