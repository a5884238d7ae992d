//! The rows: which operation, at which size.

use burn::{
    prelude::*,
    tensor::{DType, Distribution},
};
use wan_kernels::DeviceCaps;

use super::{Options, Peak, attention, convolution, elementwise, products};

/// Something to time.
pub type Work = Box<dyn FnMut()>;

/// The same work by our own form and by the plain reference.
pub struct Forms {
    pub custom: Work,
    pub reference: Work,
}

/// What a perfect device must do for one call.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Two per multiply-add; 0 where only memory matters.
    pub flops: f64,
    /// Read and written, each tensor once.
    pub bytes: f64,
}

/// One operation at one size.
pub struct Case {
    pub operation: &'static str,
    pub shape: String,
    pub dtype: DType,
    pub cost: Cost,
    /// Elements of the largest tensor.
    pub(super) largest: usize,
    pub(super) forms: Box<dyn Fn(&Inputs) -> Forms>,
}

/// Where a case's tensors come from.
pub(super) struct Inputs<'a> {
    pub device: &'a Device,
    pub dtype: DType,
}

impl Inputs<'_> {
    pub fn random<const D: usize>(&self, shape: [usize; D]) -> Tensor<D> {
        self.random_f32(shape).cast(self.dtype)
    }

    pub fn random_f32<const D: usize>(&self, shape: [usize; D]) -> Tensor<D> {
        Tensor::random(shape, Distribution::Normal(0.0, 1.0), self.device)
    }
}

impl Case {
    pub fn prepare(&self, device: &Device) -> Forms {
        (self.forms)(&Inputs { device, dtype: self.dtype })
    }

    /// Why this size is too much for the device, if it is.
    pub fn refusal(&self, options: &Options, peak: Peak) -> Option<String> {
        let bytes = (self.largest * self.dtype.size()) as u64;
        let limit = DeviceCaps::of(&options.device).max_binding_bytes;
        if bytes > limit {
            return Some(format!("a tensor of {} MiB, the device binds {}", bytes >> 20, limit >> 20));
        }
        // Nothing runs at the peak, and the reference is slower still.
        let seconds = 2.0 * peak.seconds(self.cost);
        (seconds > 3.0 * options.seconds).then(|| format!("a call would take about {seconds:.1} s"))
    }
}

/// A model's width, as far as the operations see it.
#[derive(Clone, Copy)]
pub(super) struct Width {
    pub dim: usize,
    pub heads: usize,
    pub hidden: usize,
}

/// Of the 1.3B and 14B models.
pub(super) const WIDTHS: [Width; 2] =
    [Width { dim: 1_536, heads: 12, hidden: 8_960 }, Width { dim: 5_120, heads: 40, hidden: 13_824 }];

/// Tokens, up to the 81 frames of 480x832; 2,048 is where peers are compared.
pub(super) const LENGTHS: [usize; 6] = [512, 2_048, 3_120, 4_290, 17_160, 32_760];

/// Every row for tensors of `dtype`.
pub(super) fn all(dtype: DType) -> Vec<Case> {
    attention::cases(dtype)
        .into_iter()
        .chain(elementwise::cases(dtype))
        .chain(convolution::cases(dtype))
        .chain(products::cases(dtype))
        .collect()
}
