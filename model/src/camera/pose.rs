//! Rigid poses, camera to world.

use super::{
    CameraError,
    linear::{self, IDENTITY, Matrix, Vector, apply, dot, multiply, transpose},
};

/// How far a matrix of a file may be from orthonormal, and its last row from 0 0 0 1; f32 rounding is a thousandth of it.
const RIGID: f64 = 1e-3;

/// Numbers beyond are no positions; in f32 their steps would be lost.
pub(super) const LARGEST: f64 = 1e9;

/// Where a camera is and how it is turned: x right, y down, z forward.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pose {
    /// Rows; its columns are the camera's axes in the world.
    pub rotation: [[f64; 3]; 3],
    pub position: [f64; 3],
}

impl Pose {
    /// At the origin, unturned.
    pub const IDENTITY: Self = Self { rotation: IDENTITY, position: [0.0; 3] };

    /// The pose of a camera-to-world matrix; `frame` is for the message. A rotation within 1e-3 of orthonormal is
    /// taken to the nearest one that is.
    ///
    /// # Errors
    /// A value that is not finite, and a matrix that is not rigid.
    pub fn from_matrix(frame: usize, matrix: &[[f64; 4]; 4]) -> Result<Self, CameraError> {
        if matrix.as_flattened().iter().any(|value| !value.is_finite() || value.abs() > LARGEST) {
            return Err(CameraError::NotFinite { what: "poses", row: frame });
        }
        let [top @ .., last] = *matrix;
        let rotation = top.map(|[x, y, z, _]| [x, y, z]);
        match defect(&rotation, last) {
            Some(reason) => Err(CameraError::NotRigid { frame, reason }),
            None => Ok(Self { rotation: nearest_rotation(rotation), position: top.map(|row| row[3]) }),
        }
    }

    /// `[R t; 0 0 0 1]`.
    pub fn matrix(&self) -> [[f64; 4]; 4] {
        let row = |i: usize| {
            let [x, y, z] = self.rotation[i];
            [x, y, z, self.position[i]]
        };
        [row(0), row(1), row(2), [0.0, 0.0, 0.0, 1.0]]
    }

    /// `other`, which was given in the world, as seen from this camera: the inverse of this pose times `other`.
    pub fn relative(&self, other: &Self) -> Self {
        let inverse = transpose(&self.rotation);
        Self {
            rotation: multiply(&inverse, &other.rotation),
            position: apply(&inverse, linear::subtract(other.position, self.position)),
        }
    }

    /// The direction the camera looks in.
    pub fn forward(&self) -> [f64; 3] {
        linear::column(&self.rotation, 2)
    }

    /// Between the two cameras' positions.
    pub fn distance(&self, other: &Self) -> f64 {
        linear::length(linear::subtract(self.position, other.position))
    }
}

/// Why this is no rigid motion.
fn defect(rotation: &Matrix, last: [f64; 4]) -> Option<String> {
    let off = (0..9).map(|i| (dot(rotation[i / 3], rotation[i % 3]) - IDENTITY[i / 3][i % 3]).abs());
    let off = off.fold(0.0, f64::max);
    if off > RIGID {
        return Some(format!("its rotation is {off:.3} away from orthonormal"));
    }
    if linear::determinant(rotation) < 0.0 {
        return Some("it mirrors".to_owned());
    }
    let expected = [0.0, 0.0, 0.0, 1.0];
    let last_off = last.iter().zip(expected).any(|(value, expected)| (value - expected).abs() > RIGID);
    last_off.then(|| "its last row is not 0 0 0 1".to_owned())
}

/// The polar factor of an almost orthonormal matrix, by Newton's iteration, which squares the error each time.
fn nearest_rotation(mut rotation: Matrix) -> Matrix {
    for _ in 0..3 {
        let gram = multiply(&transpose(&rotation), &rotation);
        let correction: Matrix = std::array::from_fn(|i| {
            let row: Vector = std::array::from_fn(|j| 1.5 * IDENTITY[i][j] - 0.5 * gram[i][j]);
            row
        });
        rotation = multiply(&rotation, &correction);
    }
    rotation
}
