//! One transformer block.

use burn::{
    module::{Module, Param},
    prelude::*,
};
use wan_kernels::{RopeTable, gate_residual, norm_modulate};

use super::{Attention, FeedForward};
use crate::{WanConfig, param::param};

/// The layer norm with learned scale and shift before cross-attention.
#[derive(Module, Debug)]
pub struct AffineNorm {
    weight: Param<Tensor<1>>,
    bias: Param<Tensor<1>>,
    #[module(skip)]
    eps: f64,
}

impl AffineNorm {
    fn new(config: &WanConfig, device: &Device) -> Self {
        Self { weight: param([config.dim], device), bias: param([config.dim], device), eps: config.eps }
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let row = |v: &Param<Tensor<1>>| v.val().reshape([1, 1, -1]);
        norm_modulate(x, row(&self.weight) - 1.0, row(&self.bias), self.eps)
    }
}

/// Self-attention, cross-attention and feed-forward under six modulations.
///
/// The residual stream, norms and modulation are f32 whatever the weights are: 5120 channels of bf16 sums drift
/// visibly over 40 blocks.
#[derive(Module, Debug)]
pub struct WanBlock {
    modulation: Param<Tensor<2>>,
    self_attn: Attention,
    norm3: AffineNorm,
    cross_attn: Attention,
    ffn: FeedForward,
    #[module(skip)]
    eps: f64,
}

impl WanBlock {
    pub(crate) fn new(config: &WanConfig, device: &Device) -> Self {
        Self {
            modulation: param([6, config.dim], device),
            self_attn: Attention::new(config, device),
            norm3: AffineNorm::new(config, device),
            cross_attn: Attention::new(config, device),
            ffn: FeedForward::new(config, device),
            eps: config.eps,
        }
    }

    /// `x`: `[1, l, d]`, `time`: `[1, 6, d]` the projected timestep, `context`: `[1, k, d]`; result `[1, l, d]`.
    pub fn forward(&self, x: Tensor<3>, time: Tensor<3>, context: Tensor<3>, rope: &RopeTable) -> Tensor<3> {
        let [shift_sa, scale_sa, gate_sa, shift_ff, scale_ff, gate_ff] = self.modulate(time);
        let y = self.self_attn.among(norm_modulate(x.clone(), scale_sa, shift_sa, self.eps), rope);
        let x = gate_residual(x, y, gate_sa);
        let x = x.clone() + self.cross_attn.to(self.norm3.forward(x), context);
        let y = self.ffn.forward(norm_modulate(x.clone(), scale_ff, shift_ff, self.eps));
        gate_residual(x, y, gate_ff)
    }

    /// The six rows `modulation + time`, `[1, 1, d]` each.
    fn modulate(&self, time: Tensor<3>) -> [Tensor<3>; 6] {
        let rows = time + self.modulation.val().unsqueeze::<3>();
        std::array::from_fn(|k| rows.clone().narrow(1, k, 1))
    }
}
