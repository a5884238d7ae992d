//! Scaled dot-product attention without an O(l²) buffer.
//!
//! Three forms and a reference: [`kernel::units`] for any adapter, [`kernel::matrix`] for f16 on matrix units (compiled
//! to SPIR-V and MSL in tests, not yet run on such a device), the twin on burn-flex, and blocks of plain
//! tensor code. The twin against PyTorch's `scaled_dot_product_attention`, 12 heads of 128 channels in f32 on two AVX2
//! cores, in turns: 146 to 151 against 128 to 131 GFLOP/s at 512 tokens, 157 to 159 against 153 to 156 at 3,120. With
//! the rotation inside it takes 1.3 times less than a rotation and then attention at 3,120 tokens, 2.9 times less at
//! 512.
//!
//! Keys are rotated once while they are packed there, and with each tile on a graphics adapter. On a software adapter,
//! the only one this was measured on (llvmpipe, 4 heads of 128 channels in f32, CPU time, in turns), keys rotated once
//! beforehand take 2 to 4 % less at 512 and 1,024 tokens, keys and queries 6 to 7 %: too little for buffers of 96 MiB
//! each in f16 at 32,760 tokens and 12 heads. By operations a rotation is 3 beside 256 for each element of a tile of
//! keys, once per 64 queries; beside matrix units, which do the 256 alone, the 3 weigh more.
//!
//! Beyond operands and result a call of that length holds 34 MB on the host, one head's keys and values packed in f32,
//! and below 5 MB on llvmpipe in f16, most of it slack of CubeCL's pools.

mod cpu;
pub mod kernel;
mod launch;
pub mod reference;
mod shape;
mod window;

use burn::{backend::Dispatch, prelude::*, tensor::module, tensor::ops::AttentionModuleOptions};

use crate::{Road, RopeTable, fall_back, road};
pub(crate) use cpu::packed_bytes;
use launch::Attention;
pub use launch::matrix_units;
pub(crate) use launch::{MAX_WIDTH, OPERATION};
pub use shape::AttentionShape;
pub use window::Window;

/// The most bytes one block of attention scores may take in the reference; at most two such blocks are alive at a
/// time.
pub const SCORE_BUDGET_BYTES: usize = 64 << 20;

/// `softmax(q k^T / sqrt(d)) v`, softmax and sums in f32, any `lq, lk >= 1`.
///
/// # Shapes
/// - `q`: `[b, h, lq, d]`, `k`, `v`: `[b, h, lk, d]`, all of one dtype; a view by `swap_dims` costs no copy
/// - result: `[b, h, lq, d]` of that dtype, in memory `[b, lq, h, d]` where one of our own forms made it
///
/// # Panics
/// If the shapes do not fit together.
pub fn attention(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>) -> Tensor<4> {
    attend(q, k, v, None)
}

/// [`attention`] where the last key and its value stand for `times` equal ones, as the padding of a text does: the
/// key's score is raised by `ln(times)` where our twin runs, elsewhere the two are repeated.
///
/// # Panics
/// If the shapes do not fit together, or `times` is 0.
pub fn padded_attention(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, times: usize) -> Tensor<4> {
    assert!(times > 0, "the last key counts at least once");
    let shape = checked(&q, &k, &v);
    match chosen(shape, &q) {
        _ if times == 1 => attention(q, k, v),
        Road::Custom => {
            let [q, k, v] = [q, k, v].map(Tensor::into_dispatch);
            Tensor::<4>::from_dispatch(Dispatch::flash_padded_attention(q, k, v, times)).swap_dims(1, 2)
        }
        _ => {
            let [k, v] = [k, v].map(|x| reference::repeat_last(x, times));
            attention(q, k, v)
        }
    }
}

/// [`attention`] where each query sees the keys of `window` alone.
pub fn window_attention(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, window: Window) -> Tensor<4> {
    attend(q, k, v, Some(window))
}

/// Self-attention after rotating `q` and `k` by their positions; rotated rows are made while tiles are loaded and
/// never stored.
///
/// # Shapes
/// - `q`, `k`, `v`: `[b, l, h, d]` of one dtype, even `d`; `table`: of `l` tokens and `d`
/// - result: `[b, l, h, d]` of that dtype
///
/// # Panics
/// If the shapes do not fit together.
pub fn rope_attention(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, table: &RopeTable) -> Tensor<4> {
    let [q, k, v] = [q, k, v].map(|x| x.swap_dims(1, 2));
    let shape = checked(&q, &k, &v);
    shape::check_table(shape, table).unwrap_or_else(|error| panic!("{error}"));
    match chosen(shape, &q) {
        Road::Custom => Tensor::from_dispatch(Dispatch::flash_rope_attention(
            q.into_dispatch(),
            k.into_dispatch(),
            v.into_dispatch(),
            table.cos.clone().into_dispatch(),
            table.sin.clone().into_dispatch(),
        )),
        _ => reference::rope_attention(q, k, v, table, SCORE_BUDGET_BYTES).swap_dims(1, 2),
    }
}

fn attend(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, window: Option<Window>) -> Tensor<4> {
    let shape = checked(&q, &k, &v);
    match (chosen(shape, &q), window) {
        (Road::Custom, _) => {
            let result =
                Dispatch::flash_attention(q.into_dispatch(), k.into_dispatch(), v.into_dispatch(), window);
            Tensor::<4>::from_dispatch(result).swap_dims(1, 2)
        }
        (Road::Backend, None) => module::attention(q, k, v, None, None, AttentionModuleOptions::default()),
        _ => reference::window_attention(q, k, v, window, SCORE_BUDGET_BYTES),
    }
}

fn checked(q: &Tensor<4>, k: &Tensor<4>, v: &Tensor<4>) -> AttentionShape {
    shape::check(q, k, v).unwrap_or_else(|error| panic!("{error}"))
}

fn chosen(shape: AttentionShape, q: &Tensor<4>) -> Road {
    let device = q.device();
    match road(&OPERATION, &device, &[q.dtype()]) {
        Road::Custom => match launch::fits(shape, &device) {
            Ok(()) => Road::Custom,
            Err(cause) => fall_back(&OPERATION, &device, &cause),
        },
        other => other,
    }
}
