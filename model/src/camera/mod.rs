//! Camera paths that steer LingBot-World: poses, lens, keys, and what the network sees of them.
//!
//! Poses are camera to world with x right, y down, z forward. Units of length are arbitrary: the network sees steps
//! divided by the largest of them.

mod control;
mod error;
mod interpolate;
mod intrinsics;
mod keys;
mod linear;
mod motion;
mod pose;
mod steps;
mod words;

use burn::prelude::*;

pub use control::{ACTION_CHANNELS, CONTROL_CHANNELS, control_tokens};
pub use error::CameraError;
pub use interpolate::{interpolate, linspace};
pub use intrinsics::{Intrinsics, TRAINED_HEIGHT, TRAINED_WIDTH};
pub use keys::Keys;
pub use motion::{MAX_POSES, Motion};
pub use pose::Pose;
pub use steps::{frame_steps, normalise, relative_to_first};
pub use words::Move;

use crate::Strides;

/// Fewest poses that make two latent frames, and so a motion.
pub const LEAST_POSES: usize = 5;

/// One checked pose for each pixel frame, and the lens they were taken with.
#[derive(Clone, Debug, PartialEq)]
pub struct CameraPath {
    poses: Vec<Pose>,
    intrinsics: Vec<Intrinsics>,
    actions: Option<Vec<[f32; 4]>>,
}

impl CameraPath {
    /// A path of camera-to-world matrices and rows of `fx, fy, cx, cy` in pixels of a 480x832 image, of which the
    /// network sees the first.
    ///
    /// # Errors
    /// No poses or no rows, a value that is not finite, a matrix that is not rigid, a lens of another image size.
    pub fn new(c2w: &[[[f64; 4]; 4]], intrinsics: &[[f64; 4]]) -> Result<Self, CameraError> {
        let poses = c2w.iter().enumerate().map(|(frame, matrix)| Pose::from_matrix(frame, matrix));
        let rows = intrinsics.iter().enumerate().map(|(row, values)| Intrinsics::new(row, *values));
        Self::from_poses(poses.collect::<Result<_, _>>()?, rows.collect::<Result<_, _>>()?)
    }

    /// A path of poses that are known to be rigid.
    ///
    /// # Errors
    /// No poses, no intrinsics, or more than [`MAX_POSES`].
    pub fn from_poses(poses: Vec<Pose>, intrinsics: Vec<Intrinsics>) -> Result<Self, CameraError> {
        if poses.is_empty() || intrinsics.is_empty() {
            return Err(CameraError::Empty { what: if poses.is_empty() { "poses" } else { "intrinsics" } });
        }
        if poses.len() > MAX_POSES {
            return Err(CameraError::TooLong { poses: poses.len() });
        }
        Ok(Self { poses, intrinsics, actions: None })
    }

    /// The same path with the keys W, A, S, D of each frame, 1 where held, for the model that moves by keys.
    ///
    /// # Errors
    /// Fewer rows than poses, or a value that is not finite.
    pub fn with_actions(self, actions: Vec<[f32; 4]>) -> Result<Self, CameraError> {
        if actions.len() < self.poses.len() {
            return Err(CameraError::ActionsTooShort { actions: actions.len(), poses: self.poses.len() });
        }
        if let Some(row) = actions.iter().position(|row| row.iter().any(|value| !value.is_finite())) {
            return Err(CameraError::NotFinite { what: "actions", row });
        }
        Ok(Self { actions: Some(actions), ..self })
    }

    /// One for each pixel frame, at least one.
    pub fn poses(&self) -> &[Pose] {
        &self.poses
    }

    /// The rows as given; the first counts.
    pub fn intrinsics(&self) -> &[Intrinsics] {
        &self.intrinsics
    }

    /// The keys W, A, S, D of each frame, if the path has them.
    pub fn actions(&self) -> Option<&[[f32; 4]]> {
        self.actions.as_deref()
    }

    /// The start of the path: as many of the `frames` asked for (all, if `None`) as there are poses, rounded down to
    /// `4n + 1`.
    ///
    /// # Errors
    /// If fewer than [`LEAST_POSES`] poses are left of a path of which more than one frame was asked for.
    pub fn cut(&self, frames: Option<usize>) -> Result<Self, CameraError> {
        let wanted = frames.unwrap_or(usize::MAX);
        if self.poses.len() < LEAST_POSES && wanted > 1 {
            return Err(CameraError::TooShort { poses: self.poses.len() });
        }
        let (kept, _) = Strides::VAE_2_1.nearest_frames(self.poses.len().min(wanted));
        let mut path = self.clone();
        path.poses.truncate(kept);
        path.intrinsics.truncate(kept);
        if let Some(actions) = &mut path.actions {
            actions.truncate(kept);
        }
        Ok(path)
    }

    /// One pose for each latent frame, spread evenly over the path: every fourth of `4n + 1` poses.
    pub fn latent_poses(&self) -> Vec<Pose> {
        let last = self.poses.len() - 1;
        interpolate(&self.poses, &linspace(last as f64, last / Strides::VAE_2_1.temporal + 1))
    }

    /// What the network sees of [`Self::latent_poses`]: each relative to the one before it, in units of the largest
    /// step; the first is the identity.
    pub fn latent_steps(&self) -> Vec<Pose> {
        let mut steps = frame_steps(&relative_to_first(&self.latent_poses()));
        normalise(&mut steps);
        steps
    }

    /// The rays of every pixel of a `height` x `width` video, packed 8 x 8 pixels to a latent cell:
    /// `[1, 384, frames, height / 8, width / 8]` in f32, origins before directions.
    ///
    /// # Errors
    /// If the size is not a whole number of tokens, or absurdly large.
    pub fn control(&self, height: usize, width: usize, device: &Device) -> Result<Tensor<5>, CameraError> {
        control::rays(&self.latent_steps(), self.intrinsics[0], [height, width], device)
    }

    /// For the model that moves by keys: the rays' directions, then the keys of every fourth frame, the same for all
    /// pixels: `[1, 448, frames, height / 8, width / 8]` in f32.
    ///
    /// # Errors
    /// As [`Self::control`], and if the path has no actions.
    pub fn action_control(
        &self,
        height: usize,
        width: usize,
        device: &Device,
    ) -> Result<Tensor<5>, CameraError> {
        let actions = self.actions.as_deref().ok_or(CameraError::NoActions)?;
        control::directions_and_keys(
            &self.latent_steps(),
            self.intrinsics[0],
            actions,
            [height, width],
            device,
        )
    }
}
