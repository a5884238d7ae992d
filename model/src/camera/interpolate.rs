//! Poses between poses: positions along lines, rotations along great arcs.

use super::{
    Pose,
    linear::{Matrix, add, scale},
};

/// `w, x, y, z`, of length one.
type Quaternion = [f64; 4];

/// Rotations closer than this are mixed along a line: their arc's sine has no digits left.
const ALMOST_EQUAL: f64 = 1.0 - 1e-12;

/// `count` evenly spaced numbers from 0 to `last`, both included; one alone is 0.
pub fn linspace(last: f64, count: usize) -> Vec<f64> {
    let step = last / count.saturating_sub(1).max(1) as f64;
    (0..count).map(|i| if i > 0 && i + 1 == count { last } else { i as f64 * step }).collect()
}

/// The poses at `targets`, which count in poses from 0 and may fall between two; those outside take the nearest end.
pub fn interpolate(poses: &[Pose], targets: &[f64]) -> Vec<Pose> {
    let quaternions = continuous(poses.iter().map(|pose| quaternion(&pose.rotation)));
    let Some(last) = poses.len().checked_sub(1) else { return Vec::new() };
    let at = |target: &f64| {
        let target = target.clamp(0.0, last as f64);
        let lower = (target.floor() as usize).min(last);
        let upper = (lower + 1).min(last);
        let fraction = target - lower as f64;
        Pose {
            rotation: matrix(slerp(quaternions[lower], quaternions[upper], fraction)),
            position: mix(poses[lower].position, poses[upper].position, fraction),
        }
    };
    targets.iter().map(at).collect()
}

fn mix(a: [f64; 3], b: [f64; 3], fraction: f64) -> [f64; 3] {
    add(scale(a, 1.0 - fraction), scale(b, fraction))
}

/// A quaternion and its negative are one rotation: of the two, each takes the one nearer to its predecessor.
fn continuous(quaternions: impl Iterator<Item = Quaternion>) -> Vec<Quaternion> {
    let mut chain: Vec<Quaternion> = Vec::new();
    for next in quaternions {
        let turned = chain.last().is_some_and(|&previous| dot(previous, next) < 0.0);
        chain.push(if turned { next.map(|value| -value) } else { next });
    }
    chain
}

fn dot(a: Quaternion, b: Quaternion) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn slerp(a: Quaternion, b: Quaternion, fraction: f64) -> Quaternion {
    let cosine = dot(a, b);
    let (weight_a, weight_b) = if cosine > ALMOST_EQUAL {
        (1.0 - fraction, fraction)
    } else {
        let angle = cosine.clamp(-1.0, 1.0).acos();
        let part = |f: f64| (f * angle).sin() / angle.sin();
        (part(1.0 - fraction), part(fraction))
    };
    let sum: Quaternion = std::array::from_fn(|i| weight_a * a[i] + weight_b * b[i]);
    let length = dot(sum, sum).sqrt();
    sum.map(|value| value / length)
}

/// Solves for the largest component first, so that nothing is divided by a small number.
fn quaternion(m: &Matrix) -> Quaternion {
    let [[xx, xy, xz], [yx, yy, yz], [zx, zy, zz]] = *m;
    let raw = if xx + yy + zz > 0.0 {
        [1.0 + xx + yy + zz, zy - yz, xz - zx, yx - xy]
    } else if xx >= yy && xx >= zz {
        [zy - yz, 1.0 + xx - yy - zz, xy + yx, xz + zx]
    } else if yy >= zz {
        [xz - zx, xy + yx, 1.0 - xx + yy - zz, yz + zy]
    } else {
        [yx - xy, xz + zx, yz + zy, 1.0 - xx - yy + zz]
    };
    let length = dot(raw, raw).sqrt();
    raw.map(|value| value / length)
}

fn matrix([w, x, y, z]: Quaternion) -> Matrix {
    [
        [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)],
        [2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x)],
        [2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)],
    ]
}
