//! Tensor operations the Wan networks are built from, each with a plain-tensor reference.

mod conv3d;

pub use conv3d::{Conv3dOptions, conv3d, conv3d_reference};
