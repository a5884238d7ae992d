//! The feed-forward layer.

use burn::{module::Module, prelude::*};
use tracing::instrument;

use crate::{
    Linear, WanConfig,
    linear::{LargeLinears, visit_all},
};

/// Linear, GELU (tanh form), linear.
#[derive(Module, Debug)]
pub struct FeedForward {
    linear1: Linear,
    linear2: Linear,
}

impl FeedForward {
    pub(crate) fn new(config: &WanConfig, device: &Device) -> Self {
        Self {
            linear1: Linear::new(config.dim, config.ffn_dim, device),
            linear2: Linear::new(config.ffn_dim, config.dim, device),
        }
    }

    /// `[b, l, d]` to `[b, l, d]`.
    #[instrument(name = "feed-forward", level = "trace", skip_all)]
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.linear2.forward(self.linear1.forward_gelu(x))
    }
}

impl LargeLinears for FeedForward {
    fn large_linears(&mut self, at: &str, visit: &mut dyn FnMut(&str, &mut Linear)) {
        visit_all(at, [("linear1", &mut self.linear1), ("linear2", &mut self.linear2)], visit);
    }
}
