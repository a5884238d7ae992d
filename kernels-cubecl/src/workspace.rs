//! What operations hold beyond operands and result, by sizes alone.

use crate::{
    DeviceKind, SCORE_BUDGET_BYTES,
    attention::{MAX_WIDTH, packed_bytes},
    conv3d::FILTER_BYTES,
    product,
};

/// Held by a thread of the host that convolves.
const CONVOLVING_THREAD: u64 = 7 << 20;
/// Points at which Winograd's filters of 3x3 are held.
const POINTS: u64 = 36;
/// Taps of a plane of 3x3.
const PLANE: usize = 9;

/// Bytes of [`crate::attention`] among `tokens` tokens in `heads` heads of `d` channels.
pub fn attention_workspace(kind: DeviceKind, heads: usize, tokens: usize, d: usize) -> u64 {
    match kind {
        DeviceKind::Flex => packed_bytes(heads, tokens, d),
        DeviceKind::Cube if d <= MAX_WIDTH => 0,
        // Two blocks of scores at a time.
        _ => 2 * (heads * tokens * tokens * size_of::<f32>()).min(SCORE_BUDGET_BYTES) as u64,
    }
}

/// Bytes of [`crate::linear`] of `rows` rows of `inputs` values.
pub fn linear_workspace(kind: DeviceKind, rows: usize, inputs: usize) -> u64 {
    if kind == DeviceKind::Flex { product::packed_bytes(rows, inputs) } else { 0 }
}

/// Bytes of [`crate::conv3d`] from `inputs` to `outputs` channels by kernels of `taps` values, with `threads` threads on
/// the host.
pub fn conv3d_workspace(kind: DeviceKind, [inputs, outputs, taps]: [usize; 3], threads: usize) -> u64 {
    let weights = (inputs * outputs * size_of::<f32>()) as u64;
    let transformed = match taps.is_multiple_of(PLANE) {
        true => (weights * (taps / PLANE) as u64 * POINTS).min(FILTER_BYTES as u64),
        false => weights * taps as u64,
    };
    transformed + if kind == DeviceKind::Flex { threads as u64 * CONVOLVING_THREAD } else { 0 }
}
