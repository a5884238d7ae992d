//! A camera's motion as a line of text: in words or in keys.

use std::str::FromStr;

use super::{
    CameraError, Pose,
    keys::{self, Keys},
    words::{self, Move},
};

/// The longest path: an hour at 16 frames a second, and some.
pub const MAX_POSES: usize = 1 << 16;

/// What a camera does.
///
/// Words, `forward 2, left 30deg, up 10deg`: `forward`, `back`, `left`, `right`, `up` and `down` with a distance move
/// along the camera's axes; `left`, `right`, `up` and `down` with degrees turn it. A turn to the side is about the
/// vertical, which keeps the horizon level. Moves follow each other at an even pace, at which a distance of 1 takes as
/// long as 40 degrees: the pace of the keys.
///
/// Keys, `w-3,iw-1,none-5`: each piece holds keys down for a number of frames. `w a s d` walk 0.05 a frame on the
/// level, forward, left, back and right; `i k` look up and down and `j l` left and right by 2 degrees a frame. Looking
/// up or down ends at 85 degrees.
#[derive(Clone, Debug, PartialEq)]
pub enum Motion {
    Words(Vec<Move>),
    /// Of each frame, padded to `4n + 1` frames with no keys.
    Keys(Vec<Keys>),
}

/// A stretch of text between commas, trimmed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'a> {
    pub text: &'a str,
    /// Characters before it, counted from 1.
    pub at: usize,
}

impl Piece<'_> {
    pub fn refuse(&self, reason: impl Into<String>) -> CameraError {
        CameraError::Motion { piece: self.text.to_owned(), at: self.at, reason: reason.into() }
    }
}

impl FromStr for Motion {
    type Err = CameraError;

    /// Keys if the first piece has the form of keys, words otherwise; an error names the piece at fault.
    fn from_str(text: &str) -> Result<Self, CameraError> {
        let pieces = pieces(text);
        if let Some(empty) = pieces.iter().find(|piece| piece.text.is_empty()) {
            return Err(empty.refuse("nothing where a move should be"));
        }
        if pieces.first().is_some_and(|piece| keys::looks_like(piece.text)) {
            keys::parse(&pieces).map(Self::Keys)
        } else {
            words::parse(&pieces).map(Self::Words)
        }
    }
}

impl Motion {
    /// How many frames the text itself asks for: keys say it, words do not.
    pub fn frames(&self) -> Option<usize> {
        match self {
            Self::Words(_) => None,
            Self::Keys(keys) => Some(keys.len()),
        }
    }

    /// The first pose, the identity, and those after it. Words are spread over `frames`; keys end with their last
    /// frame or stand still until `frames`, and the pose after the last key is one more than they have frames.
    pub fn poses(&self, frames: usize) -> Vec<Pose> {
        match self {
            Self::Words(moves) => words::poses(moves, frames),
            Self::Keys(held) => keys::poses(held, frames),
        }
    }

    /// W, A, S, D of each of `frames` frames, 1 where held; nothing for words.
    pub fn actions(&self, frames: usize) -> Option<Vec<[f32; 4]>> {
        let Self::Keys(held) = self else { return None };
        Some((0..frames).map(|frame| held.get(frame).copied().unwrap_or_default().walking()).collect())
    }
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut at = 1;
    let piece = |raw| {
        let raw: &str = raw;
        let text = raw.trim_start();
        let start = at + raw[..raw.len() - text.len()].chars().count();
        at += raw.chars().count() + 1;
        Piece { text: text.trim_end(), at: start }
    };
    text.split(',').map(piece).collect()
}
