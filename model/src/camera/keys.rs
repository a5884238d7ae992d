//! Motion by held keys, frame by frame.

use super::{
    CameraError, MAX_POSES, Pose,
    linear::{Vector, add, column, length, multiply, scale, turn_x, turn_y},
    motion::Piece,
};
use crate::Strides;

/// Walked in one frame.
pub const STEP: f64 = 0.05;
/// Turned in one frame, in degrees.
pub const TURN: f64 = 2.0;
/// Looking up or down ends here, in degrees.
pub const STEEPEST: f64 = 85.0;

const NAMES: &str = "wasdijkl";

/// W, A, S, D, I, J, K, L: which are held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keys([bool; 8]);

impl Keys {
    fn parse(text: &str) -> Option<Self> {
        let mut keys = Self::default();
        if text.eq_ignore_ascii_case("none") {
            return Some(keys);
        }
        for name in text.chars() {
            keys.0[NAMES.find(name.to_ascii_lowercase())?] = true;
        }
        (!text.is_empty()).then_some(keys)
    }

    /// 1 for each of W, A, S, D that is held.
    pub fn walking(self) -> [f32; 4] {
        std::array::from_fn(|key| f32::from(self.0[key]))
    }

    /// 1, -1, or 0 if both or neither of two keys are held.
    fn balance(self, more: usize, less: usize) -> f64 {
        f64::from(i8::from(self.0[more]) - i8::from(self.0[less]))
    }

    fn forward(self) -> f64 {
        self.balance(0, 2)
    }

    fn right(self) -> f64 {
        self.balance(3, 1)
    }

    fn up(self) -> f64 {
        self.balance(4, 6)
    }

    fn turn_right(self) -> f64 {
        self.balance(7, 5)
    }
}

/// Whether this is a piece of the form `keys-frames`.
pub fn looks_like(text: &str) -> bool {
    text.rsplit_once('-').is_some_and(|(keys, _)| Keys::parse(keys).is_some())
}

/// The keys of each frame, padded to `4n + 1` frames.
pub fn parse(pieces: &[Piece<'_>]) -> Result<Vec<Keys>, CameraError> {
    let mut frames = Vec::new();
    for piece in pieces {
        let (keys, count) = run(piece)?;
        if count > MAX_POSES - frames.len() {
            return Err(piece.refuse(format!("more than {MAX_POSES} frames")));
        }
        frames.resize(frames.len() + count, keys);
    }
    let (_, padded) = Strides::VAE_2_1.nearest_frames(frames.len());
    frames.resize(padded, Keys::default());
    Ok(frames)
}

fn run(piece: &Piece<'_>) -> Result<(Keys, usize), CameraError> {
    let (keys, count) =
        piece.text.rsplit_once('-').ok_or_else(|| piece.refuse("expected keys-frames, such as w-3"))?;
    let keys = Keys::parse(keys).ok_or_else(|| piece.refuse("the keys are w a s d i j k l, or none"))?;
    let count = count.parse().ok().filter(|&count: &usize| count > 0);
    let count = count.ok_or_else(|| piece.refuse("the number of frames is a whole number above 0"))?;
    Ok((keys, count))
}

/// The identity and one pose after each frame's keys, standing still from the last key on.
pub fn poses(held: &[Keys], frames: usize) -> Vec<Pose> {
    let mut walker = Walker { pose: Pose::IDENTITY, pitch: 0.0 };
    let still = frames.saturating_sub(held.len() + 1);
    let keys = held.iter().copied().chain(std::iter::repeat_n(Keys::default(), still));
    let after = keys.map(|keys| {
        walker.walk(keys);
        walker.pose
    });
    std::iter::once(Pose::IDENTITY).chain(after).collect()
}

struct Walker {
    pose: Pose,
    /// Degrees above the horizon.
    pitch: f64,
}

impl Walker {
    /// Turns first, then walks on the level.
    fn walk(&mut self, keys: Keys) {
        let mut up = keys.up() * TURN;
        if (self.pitch + up).abs() > STEEPEST {
            up = 0.0;
        }
        self.pitch += up;
        let yaw = turn_y((keys.turn_right() * TURN).to_radians());
        let rotation = multiply(&multiply(&yaw, &self.pose.rotation), &turn_x(up.to_radians()));
        let forward = scale(level(column(&rotation, 2)), keys.forward() * STEP);
        let right = scale(level(column(&rotation, 0)), keys.right() * STEP);
        self.pose = Pose { rotation, position: add(self.pose.position, add(forward, right)) };
    }
}

/// The horizontal part of an axis at length one, with the published helper's guard against division by zero.
fn level([x, _, z]: Vector) -> Vector {
    let flat = [x, 0.0, z];
    scale(flat, 1.0 / (length(flat) + 1e-6))
}
