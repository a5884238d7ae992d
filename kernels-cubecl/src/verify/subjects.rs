//! The operations that are checked, and at which sizes.

use burn::tensor::Tensor;

use super::{attention, draw::Draw, elementwise, norms, quant, rows::Rows, video};
use crate::{
    Operation, gate_residual, gelu_bias, guidance_step, norm_modulate, rms_norm, rms_norm_rope, silu,
};

/// The sizes of an operation's axes, 1 for those it does not have.
pub(super) type Dims = [usize; 5];

/// In [`Subject::real`]: as many tokens as the device bears.
pub(super) const L: usize = 0;

/// Work on inputs that lie ready. Axis 2 of the result is the one whose rows are sampled.
pub(super) type Call = Box<dyn FnOnce() -> Tensor<4>>;

/// Whether an operation is checked in f16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Half {
    /// It computes in f32 alone.
    Never,
    /// It can, but no model does.
    Possible,
    /// Models do.
    Common,
}

/// One operation.
#[derive(Debug)]
pub(super) struct Subject {
    pub name: &'static str,
    pub operation: Operation,
    /// The public function on all rows.
    pub own: fn(&Draw, Dims) -> Call,
    /// The reference on the given rows.
    pub plain: fn(&Draw, Dims, &Rows) -> Call,
    /// Rows of the result.
    pub rows: fn(Dims) -> usize,
    /// Elements of the widest tensor for each of [`L`] tokens.
    pub width: fn(Dims) -> usize,
    pub half: Half,
    /// Small sizes with odd remainders; the first is the short check's, of the form that the models run.
    pub small: &'static [Dims],
    /// Sizes of models, by their names.
    pub real: &'static [(&'static str, Dims)],
}

/// Every operation.
pub(super) static SUBJECTS: [Subject; 20] = [
    // [b, h, lq, lk, d]
    Subject {
        name: "attention",
        operation: crate::attention::OPERATION,
        own: attention::own,
        plain: attention::plain,
        rows: |[_, _, lq, ..]| lq,
        width: |[b, h, _, _, d]| b * h * d,
        half: Half::Common,
        small: &[[1, 2, 37, 70, 128], [2, 3, 65, 17, 80], [1, 2, 5, 1, 22], [1, 1, 1, 1, 16]],
        real: &[
            ("1.3B", [1, 12, L, L, 128]),
            ("1.3B", [1, 12, L, 512, 128]),
            ("14B", [1, 40, L, L, 128]),
            ("14B", [1, 40, L, 512, 128]),
        ],
    },
    Subject {
        name: "rope_attention",
        operation: crate::attention::OPERATION,
        own: attention::rotated_own,
        plain: attention::rotated_plain,
        rows: |[_, _, lq, ..]| lq,
        width: |[b, h, _, _, d]| b * h * d,
        half: Half::Possible,
        small: &[[1, 2, 70, 70, 128], [2, 3, 37, 37, 80], [1, 1, 5, 5, 22]],
        real: &[("1.3B", [1, 12, L, L, 128]), ("14B", [1, 40, L, L, 128])],
    },
    Subject {
        name: "window_attention",
        operation: crate::attention::OPERATION,
        own: attention::window_own,
        plain: attention::window_plain,
        rows: |[_, _, lq, ..]| lq,
        width: |[b, h, _, _, d]| b * h * d,
        half: Half::Possible,
        small: &[[1, 2, 70, 100, 128], [1, 1, 140, 140, 16]],
        real: &[],
    },
    Subject {
        name: "padded_attention",
        operation: crate::attention::OPERATION,
        own: attention::padded_own,
        plain: attention::padded_plain,
        rows: |[_, _, lq, ..]| lq,
        width: |[b, h, _, _, d]| b * h * d,
        half: Half::Common,
        small: &[[1, 2, 37, 70, 128], [1, 1, 5, 1, 22]],
        real: &[("1.3B", [1, 12, L, 64, 128]), ("14B", [1, 40, L, 64, 128])],
    },
    // [b, l, d]
    Subject {
        name: "norm_modulate",
        operation: norm_modulate::OPERATION,
        own: norms::modulated_own,
        plain: norms::modulated_plain,
        rows: |[_, l, ..]| l,
        width: |[b, _, d, ..]| b * d,
        half: Half::Possible,
        small: &[[2, 3, 1_536, 1, 1], [1, 37, 130, 1, 1], [2, 5, 33, 1, 1]],
        real: &[("1.3B", [1, L, 1_536, 1, 1]), ("14B", [1, L, 5_120, 1, 1])],
    },
    Subject {
        name: "rms_norm",
        operation: rms_norm::OPERATION,
        own: norms::rms_own,
        plain: norms::rms_plain,
        rows: |[_, l, ..]| l,
        width: |[b, _, d, ..]| b * d,
        half: Half::Possible,
        small: &[[1, 3, 4_096, 1, 1], [1, 37, 130, 1, 1], [2, 5, 33, 1, 1]],
        real: &[("text", [1, 512, 4_096, 1, 1])],
    },
    // [b, l, h, d]
    Subject {
        name: "rms_norm_rope",
        operation: rms_norm_rope::OPERATION,
        own: norms::rotated_own,
        plain: norms::rotated_plain,
        rows: |[_, l, ..]| l,
        width: |[b, _, h, d, _]| b * h * d,
        half: Half::Common,
        small: &[[2, 3, 12, 128, 1], [1, 37, 5, 26, 1], [2, 3, 3, 6, 1]],
        real: &[("1.3B", [1, L, 12, 128, 1]), ("14B", [1, L, 40, 128, 1])],
    },
    // [b, l, d]
    Subject {
        name: "gate_residual",
        operation: gate_residual::OPERATION,
        own: elementwise::gated_own,
        plain: elementwise::gated_plain,
        rows: |[_, l, ..]| l,
        width: |[b, _, d, ..]| b * d,
        half: Half::Possible,
        small: &[[2, 3, 1_536, 1, 1], [1, 37, 130, 1, 1], [2, 5, 33, 1, 1]],
        real: &[("1.3B", [1, L, 1_536, 1, 1]), ("14B", [1, L, 5_120, 1, 1])],
    },
    Subject {
        name: "gelu_bias",
        operation: gelu_bias::OPERATION,
        own: elementwise::biased_own,
        plain: elementwise::biased_plain,
        rows: |[_, l, ..]| l,
        width: |[b, _, d, ..]| b * d,
        half: Half::Common,
        small: &[[1, 3, 8_960, 1, 1], [1, 37, 130, 1, 1], [2, 5, 33, 1, 1]],
        real: &[("1.3B", [1, L, 8_960, 1, 1]), ("14B", [1, L, 13_824, 1, 1])],
    },
    Subject {
        name: "gelu",
        operation: gelu_bias::OPERATION,
        own: elementwise::gelu_own,
        plain: elementwise::gelu_plain,
        rows: |[_, l, ..]| l,
        width: |[b, _, d, ..]| b * d,
        half: Half::Possible,
        small: &[[1, 3, 1_024, 1, 1], [1, 37, 130, 1, 1], [2, 5, 33, 1, 1]],
        real: &[("text", [1, 512, 10_240, 1, 1])],
    },
    // [c, f, h, w]
    Subject {
        name: "silu",
        operation: silu::OPERATION,
        own: elementwise::silu_own,
        plain: elementwise::silu_plain,
        rows: |[_, _, h, ..]| h,
        width: |[c, f, _, w, _]| c * f * w,
        half: Half::Possible,
        small: &[[3, 1, 5, 12, 1], [5, 1, 3, 7, 1]],
        real: &[("VAE", [96, 1, 60, 104, 1])],
    },
    Subject {
        name: "guidance_step",
        operation: guidance_step::OPERATION,
        own: elementwise::guided_own,
        plain: elementwise::guided_plain,
        rows: |[_, _, h, ..]| h,
        width: |[c, f, _, w, _]| c * f * w,
        half: Half::Never,
        small: &[[16, 1, 6, 10, 1], [5, 1, 3, 7, 1]],
        real: &[("480p", [16, 21, 60, 104, 1])],
    },
    // [c_in, c_out, t, h, w]
    Subject {
        name: "conv3d",
        operation: crate::conv3d::OPERATION,
        own: video::own::<{ video::CAUSAL }>,
        plain: video::plain::<{ video::CAUSAL }>,
        rows: video::rows::<{ video::CAUSAL }>,
        width: |[inputs, outputs, t, _, w]| inputs.max(outputs) * t * w,
        half: Half::Possible,
        small: &[[12, 16, 2, 5, 6], [3, 17, 3, 7, 9], [4, 3, 1, 17, 30], [5, 1, 1, 1, 2]],
        real: &[("VAE", [96, 96, 1, 60, 104])],
    },
    Subject {
        name: "conv3d in time",
        operation: crate::conv3d::OPERATION,
        own: video::own::<{ video::IN_TIME }>,
        plain: video::plain::<{ video::IN_TIME }>,
        rows: video::rows::<{ video::IN_TIME }>,
        width: |[inputs, outputs, t, _, w]| inputs.max(outputs) * t * w,
        half: Half::Possible,
        small: &[[12, 24, 2, 3, 6], [5, 17, 1, 1, 7]],
        real: &[("VAE", [384, 768, 1, 30, 52])],
    },
    Subject {
        name: "conv3d in steps",
        operation: crate::conv3d::OPERATION,
        own: video::own::<{ video::HALVING }>,
        plain: video::plain::<{ video::HALVING }>,
        rows: video::rows::<{ video::HALVING }>,
        width: |[inputs, outputs, t, _, w]| inputs.max(outputs) * t * w,
        half: Half::Possible,
        small: &[[12, 16, 2, 6, 8], [3, 17, 1, 7, 9]],
        real: &[("VAE", [96, 96, 1, 120, 208])],
    },
    // [c, t, h, w]
    Subject {
        name: "channel_norm",
        operation: crate::channel_norm::OPERATION,
        own: video::norm_own,
        plain: video::norm_plain,
        rows: |[_, _, h, ..]| h,
        width: |[c, t, _, w, _]| c * t * w,
        half: Half::Possible,
        small: &[[96, 2, 3, 8, 1], [5, 1, 3, 7, 1]],
        real: &[("VAE", [96, 1, 60, 104, 1])],
    },
    // [m, k, n]
    Subject {
        name: "linear",
        operation: crate::linear::OPERATION,
        own: quant::linear_own,
        plain: quant::linear_plain,
        rows: |[m, ..]| m,
        width: |[_, k, n, ..]| k.max(n),
        half: Half::Common,
        small: &[[37, 192, 68, 1, 1], [3, 75, 5, 1, 1]],
        real: &[("1.3B", [L, 1_536, 1_536, 1, 1]), ("14B", [L, 5_120, 5_120, 1, 1])],
    },
    Subject {
        name: "matmul_int8",
        operation: crate::quant::INT8,
        own: quant::int8_own,
        plain: quant::int8_plain,
        rows: |[m, ..]| m,
        width: |[_, k, n, ..]| k.max(n),
        half: Half::Common,
        small: &[[37, 192, 70, 1, 1], [3, 72, 5, 1, 1]],
        real: &[("1.3B", [L, 1_536, 1_536, 1, 1]), ("14B", [L, 5_120, 5_120, 1, 1])],
    },
    Subject {
        name: "matmul_nf4",
        operation: crate::quant::NF4_PRODUCT,
        own: quant::nf4_own,
        plain: quant::nf4_plain,
        rows: |[m, ..]| m,
        width: |[_, k, n, ..]| k.max(n),
        half: Half::Common,
        small: &[[37, 192, 70, 1, 1], [3, 64, 5, 1, 1]],
        real: &[("1.3B", [L, 1_536, 1_536, 1, 1]), ("14B", [L, 5_120, 5_120, 1, 1])],
    },
    Subject {
        name: "matmul_nf4 nested",
        operation: crate::quant::NF4_PRODUCT,
        own: quant::nested_own,
        plain: quant::nested_plain,
        rows: |[m, ..]| m,
        width: |[_, k, n, ..]| k.max(n),
        half: Half::Common,
        small: &[[37, 192, 70, 1, 1], [3, 64, 5, 1, 1]],
        real: &[],
    },
];
