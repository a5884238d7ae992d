//! The feed-forward layer.

use burn::{module::Module, prelude::*};
use tracing::instrument;
use wan_kernels::{DeviceCaps, DeviceKind};

use crate::{
    Linear, WanConfig,
    linear::{LargeLinears, visit_all},
};

/// Of the hidden values that are held at a time, in f32. Below 32 MiB glibc hands out memory that was used before, while
/// every page of larger blocks is cleared anew; a product of some hundred rows is as fast as one of all.
const HIDDEN_BYTES: usize = 28 << 20;

/// Of those on an adapter, in the dtype of the products: its units are all at work on some thousand rows only.
const ADAPTER_HIDDEN_BYTES: usize = 256 << 20;

/// Tokens whose `hidden` values of `value_bytes` are held at a time.
pub(super) fn tokens_at_once(on_host: bool, hidden: usize, value_bytes: usize) -> usize {
    let tokens = match on_host {
        true => HIDDEN_BYTES / size_of::<f32>() / hidden,
        false => ADAPTER_HIDDEN_BYTES / value_bytes / hidden,
    };
    tokens.max(1)
}

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

    /// `[b, l, d]` to `[b, l, d]`, some tokens at a time: the hidden values of all are the largest tensor of a pass.
    #[instrument(name = "feed-forward", level = "trace", skip_all)]
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [hidden, _] = self.linear1.shape();
        let on_host = DeviceCaps::of(&x.device()).kind != DeviceKind::Cube;
        self.by_parts(x, tokens_at_once(on_host, hidden, self.linear1.dtype().size()))
    }

    /// In even parts of at most `most` tokens.
    fn by_parts(&self, x: Tensor<3>, most: usize) -> Tensor<3> {
        let [b, l, _] = x.dims();
        let whole = |x| self.linear2.forward(self.linear1.forward_gelu(x));
        if b * l <= most {
            return whole(x);
        }
        let parts = x.split(l.div_ceil((b * l).div_ceil(most)), 1);
        Tensor::cat(parts.into_iter().map(whole).collect(), 1)
    }
}

impl LargeLinears for FeedForward {
    fn large_linears(&mut self, at: &str, visit: &mut dyn FnMut(&str, &mut Linear)) {
        visit_all(at, [("linear1", &mut self.linear1), ("linear2", &mut self.linear2)], visit);
    }
}

#[cfg(test)]
mod tests {
    use burn::{module::Param, tensor::Distribution};

    use super::*;

    #[test]
    fn parts_are_the_whole_to_the_bit() {
        let device = Device::flex();
        let config = WanConfig { dim: 16, ffn_dim: 40, ..WanConfig::t2v_1_3b() };
        let random = Random { device: device.clone() };
        let ffn = FeedForward::new(&config, &device).map(&mut { random });
        let x = Tensor::<3>::random([1, 130, 16], Distribution::Default, &device);
        let whole = ffn.by_parts(x.clone(), 130).into_data();
        // Not so few rows that products are made another way.
        for most in [129, 65, 64, 43, 20] {
            assert_eq!(ffn.by_parts(x.clone(), most).into_data(), whole, "{most} tokens at a time");
        }
        assert_eq!(ffn.forward(x).into_data(), whole);
    }

    struct Random {
        device: Device,
    }

    impl burn::module::ModuleMapper for Random {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let shape = param.lazy_shape();
            let values = Tensor::random(shape, Distribution::Normal(0.0, 0.3), &self.device);
            let id = param.id;
            param.transform_for_load(values, id)
        }
    }
}
