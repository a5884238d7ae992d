//! Tensor operations the Wan networks are built from, each with a plain-tensor reference.
//!
//! Knows shapes, not models. Letters in shapes: b batch, l tokens, h heads, d width, f frames, c channels. Each
//! operation's `reference` is portable tensor code; [`road`] alone decides what runs on a device, by its
//! [`DeviceCaps`] and the environment variable `WAN_KERNELS` (`reference`, `custom` or `auto`).

mod attention;
mod caps;
mod conv3d;
mod dispatch;
mod error;
mod gate_residual;
mod norm_modulate;
mod rope3d;
pub mod split;

pub use attention::{SCORE_BUDGET_BYTES, Window, attention, rope_attention, window_attention};
pub use caps::{DeviceCaps, DeviceKind, MatrixTile};
pub use conv3d::{Conv3dOptions, conv3d};
pub use dispatch::{Fallback, Mode, Needs, Operation, Road, fall_back, fallbacks, refuse, road};
pub use error::KernelError;
pub use gate_residual::gate_residual;
pub use norm_modulate::{norm_modulate, rms_norm};
pub use rope3d::{RopeTable, rope3d};

/// The portable implementations, for comparison.
pub mod reference {
    pub use crate::{
        attention::reference::attention, conv3d::reference::conv3d, gate_residual::reference::gate_residual,
        norm_modulate::reference::norm_modulate, rope3d::reference::rope3d,
    };
}
