//! Tensor operations the Wan networks are built from, each with a plain-tensor reference.
//!
//! Knows shapes, not models. Letters in shapes: b batch, l tokens, h heads, d width, f frames, c channels. Each
//! operation's `reference` is portable tensor code; [`road`] alone decides what runs on a device, by its
//! [`DeviceCaps`] and the environment variable `WAN_KERNELS` (`reference`, `custom` or `auto`).

mod attention;
mod caps;
mod channel_norm;
pub mod compilations;
mod conv3d;
mod cube;
mod dispatch;
mod error;
mod gate_residual;
mod gelu_bias;
mod guidance_step;
mod host;
mod linear;
mod norm_modulate;
mod product;
mod quant;
mod rms_norm;
mod rms_norm_rope;
mod rope3d;
mod rows;
mod silu;
pub mod split;
mod tile;
pub mod verify;
mod workspace;

pub use attention::{
    SCORE_BUDGET_BYTES, Window, attention, padded_attention, rope_attention, window_attention,
};
pub use caps::{DeviceCaps, DeviceKind, MatrixTile};
pub use channel_norm::channel_norm;
pub use conv3d::{Conv3dOptions, conv3d, conv3d_after};
pub use dispatch::{Fallback, Mode, Needs, Operation, Road, fall_back, fallbacks, refuse, road, road_for};
pub use error::KernelError;
pub use gate_residual::gate_residual;
pub use gelu_bias::{gelu, gelu_bias};
pub use guidance_step::{GuidanceStep, guidance_step};
pub use linear::linear;
pub use norm_modulate::norm_modulate;
pub use quant::{
    Absmax, DYNAMIC_MAP_LEN, Int8Weight, NF4, NF4_BLOCK, NestedAbsmax, NestedScales, Nf4Weight,
    QuantizedMatrix, Scales, dynamic_map, matmul_int8, matmul_nf4, nest, quantize_int8, quantize_nf4,
};
pub use rms_norm::rms_norm;
pub use rms_norm_rope::rms_norm_rope;
pub use rope3d::{RopeTable, rope3d};
pub use silu::silu;
pub use workspace::{attention_workspace, conv3d_workspace, linear_workspace};

/// The operations that are fused for every device, as decisions about them are made.
pub const FUSED: [Operation; 12] = [
    attention::OPERATION,
    channel_norm::OPERATION,
    conv3d::OPERATION,
    gate_residual::OPERATION,
    gelu_bias::OPERATION,
    guidance_step::OPERATION,
    quant::INT8,
    quant::NF4_PRODUCT,
    norm_modulate::OPERATION,
    rms_norm::OPERATION,
    rms_norm_rope::OPERATION,
    silu::OPERATION,
];

/// The portable implementations, for comparison.
pub mod reference {
    pub use crate::{
        attention::reference::{attention, padded_attention, rope_attention, window_attention},
        channel_norm::reference::channel_norm,
        conv3d::reference::conv3d,
        gate_residual::reference::gate_residual,
        gelu_bias::reference::{gelu, gelu_bias},
        guidance_step::reference::guidance_step,
        linear::reference::linear,
        norm_modulate::reference::norm_modulate,
        quant::reference::{matmul_int8, matmul_nf4},
        rms_norm::reference::rms_norm,
        rms_norm_rope::reference::rms_norm_rope,
        rope3d::reference::rope3d,
        silu::reference::silu,
    };
}

/// The CubeCL kernels themselves, for tools that compile them without a device.
pub mod kernels {
    pub use crate::{
        attention::{kernel as attention, matrix_units},
        channel_norm::kernel as channel_norm,
        conv3d::kernel as conv3d,
        gate_residual::kernel::*,
        gelu_bias::kernel::*,
        guidance_step::kernel::*,
        linear::{kernel as linear, matrix_tiles},
        norm_modulate::kernel::*,
        quant::kernel as quant,
        rms_norm_rope::kernel::*,
        silu::kernel::*,
    };
}
