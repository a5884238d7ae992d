//! The lens: focal lengths and principal point.

use super::{CameraError, pose::LARGEST};

/// Height of the image that intrinsics are given for.
pub const TRAINED_HEIGHT: usize = 480;
/// Width of the image that intrinsics are given for.
pub const TRAINED_WIDTH: usize = 832;

/// How far from the middle a principal point may be, in widths and heights: lenses sit in the middle, and images of
/// 1280x720 (0.27 off) and even 1024x576 (0.12) are told apart.
const OFF_CENTRE: f64 = 0.1;

/// A pinhole camera in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Intrinsics {
    pub fx: f64,
    pub fy: f64,
    pub cx: f64,
    pub cy: f64,
}

impl Intrinsics {
    /// The lens of LingBot-World's published example paths, for 480x832.
    pub const PUBLISHED: Self = Self { fx: 502.9116, fy: 503.10812, cx: 415.77786, cy: 239.77779 };

    /// From `fx, fy, cx, cy` of a 480x832 image; `row` is for the message.
    ///
    /// # Errors
    /// A value that is not finite, a focal length that is not positive, a principal point far from the middle.
    pub fn new(row: usize, [fx, fy, cx, cy]: [f64; 4]) -> Result<Self, CameraError> {
        if [fx, fy, cx, cy].iter().any(|value| !value.is_finite() || value.abs() > LARGEST) {
            return Err(CameraError::NotFinite { what: "intrinsics", row });
        }
        if fx <= 0.0 || fy <= 0.0 {
            return Err(CameraError::FocalLength { row, fx, fy });
        }
        let off = |centre: f64, side: usize| (centre / side as f64 - 0.5).abs();
        if off(cx, TRAINED_WIDTH) > OFF_CENTRE || off(cy, TRAINED_HEIGHT) > OFF_CENTRE {
            return Err(CameraError::AnotherSize { row, cx, cy });
        }
        Ok(Self { fx, fy, cx, cy })
    }

    /// `fx, fy, cx, cy`.
    pub fn row(&self) -> [f64; 4] {
        [self.fx, self.fy, self.cx, self.cy]
    }

    /// The same lens on an image of `height` x `width` instead of 480x832.
    pub fn scaled(&self, height: usize, width: usize) -> Self {
        let across = width as f64 / TRAINED_WIDTH as f64;
        let down = height as f64 / TRAINED_HEIGHT as f64;
        Self { fx: self.fx * across, fy: self.fy * down, cx: self.cx * across, cy: self.cy * down }
    }

    /// Horizontal and vertical angle of view of a 480x832 image, in degrees.
    pub fn angles_of_view(&self) -> [f64; 2] {
        let angle = |side: usize, centre: f64, focal: f64| {
            let other = side as f64 - centre;
            ((centre / focal).atan() + (other / focal).atan()).to_degrees()
        };
        [angle(TRAINED_WIDTH, self.cx, self.fx), angle(TRAINED_HEIGHT, self.cy, self.fy)]
    }
}
