//! One transformer block.

use burn::{
    module::{Module, Param},
    prelude::*,
};
use tracing::instrument;
use wan_kernels::RopeTable;

use super::{
    Attention, FeedForward,
    camera::{CameraInjection, CameraModulation},
    norm::{add_gated, modulate},
};
use crate::{Linear, WanConfig, linear::LargeLinears, norm::AffineNorm, param::param};

/// Self-attention, cross-attention and feed-forward under six modulations.
///
/// The residual stream, norms and modulation are f32 whatever the weights are: 5120 channels of bf16 sums drift
/// visibly over 40 blocks.
#[derive(Module, Debug)]
pub struct WanBlock {
    modulation: Param<Tensor<2>>,
    self_attn: Attention,
    pub(super) camera: Option<CameraInjection>,
    norm3: AffineNorm,
    cross_attn: Attention,
    ffn: FeedForward,
    #[module(skip)]
    eps: f64,
}

/// What all blocks of a pass read.
pub(super) struct Shared<'a> {
    /// `[n, 6, d]` the projected timestep: one row, or one for each latent frame.
    pub(super) time: Tensor<3>,
    /// `[1, k, d]`.
    pub(super) text: &'a Tensor<3>,
    /// `[1, m, d]`.
    pub(super) image: Option<&'a Tensor<3>>,
    pub(super) rope: &'a RopeTable,
}

impl WanBlock {
    pub(super) fn new(config: &WanConfig, device: &Device) -> Self {
        Self {
            modulation: param([6, config.dim], device),
            self_attn: Attention::among_video(config, device),
            camera: CameraInjection::new(config, device),
            norm3: AffineNorm::new(config.dim, config.eps, device),
            cross_attn: Attention::to_prompt(config, device),
            ffn: FeedForward::new(config, device),
            eps: config.eps,
        }
    }

    /// `[1, l, d]` to `[1, l, d]`.
    #[instrument(name = "block", level = "trace", skip_all)]
    pub(super) fn forward(
        &self,
        x: Tensor<3>,
        shared: &Shared,
        camera: Option<CameraModulation>,
    ) -> Tensor<3> {
        let [shift_sa, scale_sa, gate_sa, shift_ff, scale_ff, gate_ff] = self.rows(shared.time.clone());
        let y = self.self_attn.among(modulate(x.clone(), scale_sa, shift_sa, self.eps), shared.rope);
        let x = add_gated(x, y, gate_sa);
        let x = match camera {
            Some(camera) => camera.apply(x),
            None => x,
        };
        let x = x.clone() + self.cross_attn.to(self.norm3.forward(x), shared.text, shared.image);
        let y = self.ffn.forward(modulate(x.clone(), scale_ff, shift_ff, self.eps));
        add_gated(x, y, gate_ff)
    }

    /// The six rows `modulation + time`, `[n, 1, d]` each.
    fn rows(&self, time: Tensor<3>) -> [Tensor<3>; 6] {
        let rows = time + self.modulation.val().unsqueeze::<3>();
        std::array::from_fn(|k| rows.clone().narrow(1, k, 1))
    }
}

impl LargeLinears for WanBlock {
    fn large_linears(&mut self, at: &str, visit: &mut dyn FnMut(&str, &mut Linear)) {
        self.self_attn.large_linears(&format!("{at}.self_attn"), visit);
        self.cross_attn.large_linears(&format!("{at}.cross_attn"), visit);
        self.ffn.large_linears(&format!("{at}.ffn"), visit);
        if let Some(camera) = &mut self.camera {
            camera.large_linears(&format!("{at}.camera"), visit);
        }
    }
}
