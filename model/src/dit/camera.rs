//! The camera branch of LingBot-World: control values become a scale and a shift of every token in every block.

use burn::{module::Module, prelude::*, tensor::DType};
use tracing::instrument;
use wan_kernels::{gate_residual, silu};

use super::context::Kept;
use crate::{
    Linear, ModelError, WanConfig,
    linear::{LargeLinears, visit_all},
};

/// From the control values of a token's pixels to a row of the model's width.
#[derive(Module, Debug)]
pub struct CameraEmbed {
    control: Linear,
    linear1: Linear,
    linear2: Linear,
    #[module(skip)]
    width: usize,
}

impl CameraEmbed {
    /// `None` for a transformer without the branch.
    pub(super) fn new(config: &WanConfig, device: &Device) -> Option<Self> {
        let width = config.control_width()?;
        Some(Self {
            control: Linear::new(width, config.dim, device),
            linear1: Linear::new(config.dim, config.dim, device),
            linear2: Linear::new(config.dim, config.dim, device),
            width,
        })
    }

    /// `[1, l, control values]` to `[1, l, d]`.
    pub(super) fn forward(&self, control: Tensor<3>) -> Result<Tensor<3>, ModelError> {
        let found = control.dims()[2];
        if found != self.width {
            return Err(ModelError::ControlWidth { found, expected: self.width });
        }
        let x = self.control.forward(control);
        Ok(x.clone() + self.linear2.forward(silu(self.linear1.forward(x))))
    }
}

/// One block's reading of the embedded camera.
#[derive(Module, Debug)]
pub struct CameraInjection {
    linear1: Linear,
    linear2: Linear,
    scale: Linear,
    shift: Linear,
}

impl CameraInjection {
    /// `None` for a transformer without the branch.
    pub(super) fn new(config: &WanConfig, device: &Device) -> Option<Self> {
        config.control_width()?;
        let linear = || Linear::new(config.dim, config.dim, device);
        Some(Self { linear1: linear(), linear2: linear(), scale: linear(), shift: linear() })
    }

    /// The embedded camera `[1, l, d]` as this block's modulation, in the matmuls' dtype.
    #[instrument(name = "camera layers", level = "trace", skip_all)]
    fn modulation(&self, camera: Tensor<3>) -> CameraModulation {
        let x = self.linear2.forward(silu(self.linear1.forward(camera.clone()))) + camera;
        let [scale, shift] =
            [&self.scale, &self.shift].map(|part| part.forward(x.clone()).cast(part.dtype()));
        CameraModulation { scale, shift }
    }
}

impl LargeLinears for CameraInjection {
    fn large_linears(&mut self, at: &str, visit: &mut dyn FnMut(&str, &mut Linear)) {
        let Self { linear1, linear2, scale, shift } = self;
        visit_all(
            at,
            [("linear1", linear1), ("linear2", linear2), ("scale", scale), ("shift", shift)],
            visit,
        );
    }
}

/// Scale and shift of every token, `[1, l, d]` each.
#[derive(Clone, Debug)]
pub(super) struct CameraModulation {
    scale: Tensor<3>,
    shift: Tensor<3>,
}

impl CameraModulation {
    /// `(1 + scale) * x + shift`, f32.
    #[instrument(name = "camera modulation", level = "trace", skip_all)]
    pub(super) fn apply(self, x: Tensor<3>) -> Tensor<3> {
        let shifted = x.clone() + self.shift.cast(DType::F32);
        gate_residual(shifted, x, self.scale)
    }
}

/// A camera path as the blocks take it; the same for every step of a run and for both passes of guidance.
#[derive(Clone, Debug)]
pub struct CameraContext {
    /// `[1, l, d]`.
    pub(super) embedded: Tensor<3>,
    /// Of the blocks that are not among these each computes its own once in a step.
    pub(super) kept: Kept<CameraModulation>,
}

impl CameraContext {
    /// Blocks whose modulations are made and kept.
    pub fn blocks_made(&self) -> usize {
        self.kept.made()
    }

    /// The modulation of block `index`, whose part is `injection`.
    pub(super) fn modulation(&self, index: usize, injection: &CameraInjection) -> CameraModulation {
        self.kept.of(index, || injection.modulation(self.embedded.clone()))
    }
}
