//! From tokens back to patches.

use burn::{
    module::{Module, Param},
    prelude::*,
};
use tracing::instrument;

use super::norm::modulate;
use crate::{Linear, WanConfig, param::param};

/// Layer norm modulated by the time embedding, and the output projection, all in f32.
#[derive(Module, Debug)]
pub struct Head {
    modulation: Param<Tensor<2>>,
    head: Linear,
    #[module(skip)]
    eps: f64,
}

impl Head {
    pub(crate) fn new(config: &WanConfig, device: &Device) -> Self {
        let patch_len = config.patch.iter().product::<usize>() * config.out_dim;
        Self {
            modulation: param([2, config.dim], device),
            head: Linear::new(config.dim, patch_len, device),
            eps: config.eps,
        }
    }

    /// `x`: `[1, l, d]`, `time`: `[n, 1, d]` the time embedding, one row or one for each latent frame; result
    /// `[1, l, pt * ph * pw * out_dim]`.
    #[instrument(name = "head", level = "trace", skip_all)]
    pub fn forward(&self, x: Tensor<3>, time: Tensor<3>) -> Tensor<3> {
        let rows = time + self.modulation.val().unsqueeze::<3>();
        let (shift, scale) = (rows.clone().narrow(1, 0, 1), rows.narrow(1, 1, 1));
        self.head.forward(modulate(x, scale, shift, self.eps))
    }
}
