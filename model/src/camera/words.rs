//! Motion in words, spread evenly over any number of frames.

use super::{
    CameraError, Pose,
    keys::{STEEPEST, STEP, TURN},
    linear::{Vector, add, apply, multiply, scale, turn_x, turn_y},
    motion::Piece,
};

/// Largest distance or angle of one move.
const LARGEST: f64 = 1e6;

/// One piece of a motion.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Move {
    /// Along the camera's own axes.
    Shift([f64; 3]),
    /// Degrees to the right about the vertical.
    Yaw(f64),
    /// Degrees up about the camera's own x axis.
    Pitch(f64),
}

/// A move for each piece.
pub fn parse(pieces: &[Piece<'_>]) -> Result<Vec<Move>, CameraError> {
    let mut pitch = 0.0;
    let mut moves = Vec::new();
    for piece in pieces {
        let next = one(piece)?;
        if let Move::Pitch(degrees) = next {
            pitch += degrees;
        }
        // Sums of decimal angles may pass the limit by a rounding.
        if f64::abs(pitch) > STEEPEST + 1e-9 {
            let reason = format!("would look {pitch} degrees up, and {STEEPEST} up or down is the limit");
            return Err(piece.refuse(reason));
        }
        moves.push(next);
    }
    Ok(moves)
}

fn one(piece: &Piece<'_>) -> Result<Move, CameraError> {
    let (word, amount) = piece.text.split_once(char::is_whitespace).unwrap_or((piece.text, ""));
    let axis = axis(word).ok_or_else(|| {
        piece.refuse("expected forward, back, left, right, up or down, then a distance or degrees")
    })?;
    let (number, turns) = amount_of(amount);
    let number = number.trim_end().parse().ok().filter(|n: &f64| *n > 0.0 && *n <= LARGEST);
    let number = number.ok_or_else(|| {
        piece.refuse("expected a number above 0 and at most 1000000 after the word, with `deg` for a turn")
    })?;
    match (axis, turns) {
        (axis, false) => Ok(Move::Shift(scale(axis, number))),
        ([_, _, z], true) if z != 0.0 => Err(piece.refuse("turns are left, right, up or down")),
        ([x, y, _], true) => Ok(if x == 0.0 { Move::Pitch(-y * number) } else { Move::Yaw(x * number) }),
    }
}

/// The camera's axis a word means: x right, y down, z forward.
fn axis(word: &str) -> Option<Vector> {
    Some(match word.to_ascii_lowercase().as_str() {
        "forward" => [0.0, 0.0, 1.0],
        "back" => [0.0, 0.0, -1.0],
        "left" => [-1.0, 0.0, 0.0],
        "right" => [1.0, 0.0, 0.0],
        "up" => [0.0, -1.0, 0.0],
        "down" => [0.0, 1.0, 0.0],
        _ => return None,
    })
}

/// The number's text, and whether degrees follow it.
fn amount_of(text: &str) -> (&str, bool) {
    let text = text.trim();
    ["degrees", "deg", "°"]
        .iter()
        .find_map(|unit| text.strip_suffix(unit))
        .map_or((text, false), |number| (number, true))
}

/// `frames` poses from the identity to the end of the last move, at an even pace.
pub fn poses(moves: &[Move], frames: usize) -> Vec<Pose> {
    let total: f64 = moves.iter().map(Move::effort).sum();
    let mut rest = moves.iter();
    let mut current = rest.next();
    let (mut start, mut done) = (Pose::IDENTITY, 0.0);
    let pose = |frame: usize| {
        let time = total * frame as f64 / frames.saturating_sub(1).max(1) as f64;
        while let Some(step) = current.filter(|step| done + step.effort() <= time) {
            start = step.apply(start, 1.0);
            done += step.effort();
            current = rest.next();
        }
        current.map_or(start, |step| step.apply(start, (time - done) / step.effort()))
    };
    (0..frames).map(pose).collect()
}

impl Move {
    /// How long it takes, in frames of held keys.
    fn effort(&self) -> f64 {
        match *self {
            Self::Shift(way) => super::linear::length(way) / STEP,
            Self::Yaw(degrees) | Self::Pitch(degrees) => degrees.abs() / TURN,
        }
    }

    /// The pose after `fraction` of this move.
    fn apply(&self, from: Pose, fraction: f64) -> Pose {
        match *self {
            Self::Shift(way) => {
                let way = apply(&from.rotation, scale(way, fraction));
                Pose { position: add(from.position, way), ..from }
            }
            Self::Yaw(degrees) => {
                let turn = turn_y((degrees * fraction).to_radians());
                Pose { rotation: multiply(&turn, &from.rotation), ..from }
            }
            Self::Pitch(degrees) => {
                let turn = turn_x((degrees * fraction).to_radians());
                Pose { rotation: multiply(&from.rotation, &turn), ..from }
            }
        }
    }
}
