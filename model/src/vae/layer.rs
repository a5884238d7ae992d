//! One entry of a flat list of layers.

use burn::{
    module::{Content, Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor},
    prelude::*,
};

use super::{blocks::ResidualBlock, feature_cache::FeatureCache};

/// A residual block or the resampling step `R` after a stage. The trait is implemented by hand because the
/// derived one puts the variant's name into every parameter path.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "some thirty layers exist; a box would save nothing")]
pub(super) enum Layer<R> {
    Residual(ResidualBlock),
    Resample(R),
}

impl<R> Layer<R> {
    /// The step, if it is one.
    pub fn resample(&self) -> Option<&R> {
        match self {
            Self::Residual(_) => None,
            Self::Resample(step) => Some(step),
        }
    }
}

/// All residual blocks of a stage: `[1, c_in, t, h, w]` to `[1, c_out, t, h, w]`.
pub(super) fn residual_blocks<R>(layers: &[Layer<R>], x: Tensor<5>, cache: &mut FeatureCache) -> Tensor<5> {
    layers.iter().fold(x, |x, layer| match layer {
        Layer::Residual(block) => block.forward(x, cache),
        Layer::Resample(_) => x,
    })
}

impl<R: Module> Module for Layer<R> {
    fn collect_devices(&self, devices: Devices) -> Devices {
        match self {
            Self::Residual(module) => module.collect_devices(devices),
            Self::Resample(module) => module.collect_devices(devices),
        }
    }

    fn fork(self, device: &Device) -> Self {
        match self {
            Self::Residual(module) => Self::Residual(module.fork(device)),
            Self::Resample(module) => Self::Resample(module.fork(device)),
        }
    }

    fn to_device(self, device: &Device) -> Self {
        match self {
            Self::Residual(module) => Self::Residual(module.to_device(device)),
            Self::Resample(module) => Self::Resample(module.to_device(device)),
        }
    }

    fn train(self) -> Self {
        match self {
            Self::Residual(module) => Self::Residual(module.train()),
            Self::Resample(module) => Self::Resample(module.train()),
        }
    }

    fn valid(&self) -> Self {
        match self {
            Self::Residual(module) => Self::Residual(module.valid()),
            Self::Resample(module) => Self::Resample(module.valid()),
        }
    }

    fn materialize(self) -> Self {
        match self {
            Self::Residual(module) => Self::Residual(module.materialize()),
            Self::Resample(module) => Self::Resample(module.materialize()),
        }
    }

    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        match self {
            Self::Residual(module) => module.visit(visitor),
            Self::Resample(module) => module.visit(visitor),
        }
    }

    fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        match self {
            Self::Residual(module) => Self::Residual(module.map(mapper)),
            Self::Resample(module) => Self::Resample(module.map(mapper)),
        }
    }
}

impl<R: ModuleDisplay> ModuleDisplayDefault for Layer<R> {
    fn content(&self, content: Content) -> Option<Content> {
        match self {
            Self::Residual(module) => content.add_single(module).optional(),
            Self::Resample(module) => content.add_single(module).optional(),
        }
    }
}

impl<R: ModuleDisplay> ModuleDisplay for Layer<R> {}
