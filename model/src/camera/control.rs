//! The network's view of a path: a ray for every pixel, packed like latents.

use burn::prelude::*;

use super::{CameraError, Intrinsics, Pose};
use crate::{Strides, patches::patches};

/// Pixel rows and columns of a latent cell.
const CELL: usize = Strides::VAE_2_1.spatial;

/// Channels of the rays: origin and direction of each pixel of a cell.
pub const CONTROL_CHANNELS: usize = 6 * CELL * CELL;

/// Channels of directions and four keys.
pub const ACTION_CHANNELS: usize = 7 * CELL * CELL;

/// A step in the precision the rays are computed in.
struct Step {
    rotation: [[f32; 3]; 3],
    position: [f32; 3],
}

/// Unit vectors from the camera through every pixel's centre, row by row.
struct Directions {
    vectors: Vec<[f32; 3]>,
    width: usize,
}

/// Origins, then directions: `[1, 384, frames, height / 8, width / 8]`.
pub fn rays(
    steps: &[Pose],
    intrinsics: Intrinsics,
    size: [usize; 2],
    device: &Device,
) -> Result<Tensor<5>, CameraError> {
    let dims = dims(CONTROL_CHANNELS, steps.len(), size)?;
    let directions = Directions::new(intrinsics, size);
    let steps = single(steps);
    let mut values = Vec::with_capacity(dims.iter().product());
    for axis in 0..3 {
        directions.pack(&mut values, steps.len(), |frame, _| steps[frame].position[axis]);
    }
    directions.pack_turned(&mut values, &steps);
    Ok(Tensor::from_data(TensorData::new(values, dims), device))
}

/// Directions, then keys: `[1, 448, frames, height / 8, width / 8]`; `actions` has a row for each pixel frame.
pub fn directions_and_keys(
    steps: &[Pose],
    intrinsics: Intrinsics,
    actions: &[[f32; 4]],
    size: [usize; 2],
    device: &Device,
) -> Result<Tensor<5>, CameraError> {
    let dims = dims(ACTION_CHANNELS, steps.len(), size)?;
    let directions = Directions::new(intrinsics, size);
    let steps = single(steps);
    let mut values = Vec::with_capacity(dims.iter().product());
    directions.pack_turned(&mut values, &steps);
    let held: Vec<[f32; 4]> = actions.iter().step_by(Strides::VAE_2_1.temporal).copied().collect();
    (0..4).for_each(|key| directions.pack(&mut values, steps.len(), |frame, _| held[frame][key]));
    Ok(Tensor::from_data(TensorData::new(values, dims), device))
}

/// Gathers the cells of each token: `[1, c, frames, rows, columns]` to `[1, tokens, c * patch]`, where a token's values
/// run over channels, then the rows of its patch, then the columns.
pub fn control_tokens(control: Tensor<5>, patch: [usize; 3]) -> Tensor<3> {
    patches(control, patch)
}

fn dims(channels: usize, frames: usize, [height, width]: [usize; 2]) -> Result<[usize; 5], CameraError> {
    let strides = Strides::VAE_2_1;
    Ok(strides.latent(channels, strides.pixel_frames(frames), height, width)?.dims())
}

fn single(steps: &[Pose]) -> Vec<Step> {
    let step = |pose: &Pose| Step {
        rotation: pose.rotation.map(|row| row.map(|value| value as f32)),
        position: pose.position.map(|value| value as f32),
    };
    steps.iter().map(step).collect()
}

impl Directions {
    fn new(intrinsics: Intrinsics, [height, width]: [usize; 2]) -> Self {
        let [fx, fy, cx, cy] = intrinsics.scaled(height, width).row().map(|value| value as f32);
        let vector = |pixel: usize| {
            let x = ((pixel % width) as f32 + 0.5 - cx) / fx;
            let y = ((pixel / width) as f32 + 0.5 - cy) / fy;
            let length = (x * x + y * y + 1.0).sqrt();
            [x / length, y / length, 1.0 / length]
        };
        Self { vectors: (0..height * width).map(vector).collect(), width }
    }

    /// Appends the three components of all directions, turned by each frame's rotation.
    fn pack_turned(&self, values: &mut Vec<f32>, steps: &[Step]) {
        for axis in 0..3 {
            self.pack(values, steps.len(), |frame, [x, y, z]| {
                let [rx, ry, rz] = steps[frame].rotation[axis];
                rx * x + ry * y + rz * z
            });
        }
    }

    /// Appends one value for every pixel of every frame as 64 channels: one for each place in a cell, row by row.
    fn pack(&self, values: &mut Vec<f32>, frames: usize, value: impl Fn(usize, [f32; 3]) -> f32) {
        for place in 0..CELL * CELL {
            for frame in 0..frames {
                for row in self.vectors.chunks_exact(self.width).skip(place / CELL).step_by(CELL) {
                    let pixels = row.iter().skip(place % CELL).step_by(CELL);
                    values.extend(pixels.map(|&direction| value(frame, direction)));
                }
            }
        }
    }
}
