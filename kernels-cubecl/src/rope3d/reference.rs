//! Rotation by plain tensor code.

use burn::prelude::*;

use super::RopeTable;

/// See [`crate::rope3d`].
pub fn rope3d(x: Tensor<4>, table: &RopeTable) -> Tensor<4> {
    let [b, l, h, d] = x.dims();
    let pairs = x.reshape([b, l, h, d / 2, 2]);
    let re = pairs.clone().slice([0..b, 0..l, 0..h, 0..d / 2, 0..1]);
    let im = pairs.slice([0..b, 0..l, 0..h, 0..d / 2, 1..2]);
    let cos = table.cos.clone().reshape([1, l, 1, d / 2, 1]);
    let sin = table.sin.clone().reshape([1, l, 1, d / 2, 1]);
    let rotated_re = re.clone() * cos.clone() - im.clone() * sin.clone();
    let rotated_im = re * sin + im * cos;
    Tensor::cat(vec![rotated_re, rotated_im], 4).reshape([b, l, h, d])
}
