//! From poses in a world to the steps the network sees.

use super::{
    Pose,
    linear::{length, scale},
};

/// Every pose as the first camera sees it; the first becomes the identity.
pub fn relative_to_first(poses: &[Pose]) -> Vec<Pose> {
    let Some((first, rest)) = poses.split_first() else { return Vec::new() };
    std::iter::once(Pose::IDENTITY).chain(rest.iter().map(|pose| first.relative(pose))).collect()
}

/// Every pose as the camera before it sees it; the first is the identity.
pub fn frame_steps(poses: &[Pose]) -> Vec<Pose> {
    let first = poses.iter().take(1).map(|_| Pose::IDENTITY);
    first.chain(poses.windows(2).map(|pair| pair[0].relative(&pair[1]))).collect()
}

/// Divides all positions by the largest distance from the origin, which is returned; without any motion they stay.
pub fn normalise(steps: &mut [Pose]) -> f64 {
    let largest = steps.iter().map(|step| length(step.position)).fold(0.0, f64::max);
    if largest > 0.0 {
        steps.iter_mut().for_each(|step| step.position = scale(step.position, 1.0 / largest));
    }
    largest
}
