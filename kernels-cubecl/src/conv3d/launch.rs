//! From tensors to the twin.

use burn::backend::{Backend, ExtensionType, Flex, backend_extension, tensor::FloatTensor};

use super::{Conv3dOptions, cpu};
use crate::Operation;

pub(crate) const OPERATION: Operation =
    Operation { name: "conv3d", cube: None, twin: true, flex_backend: true };

/// A tensor or none: backend extensions do not map `Option`.
#[derive(ExtensionType)]
pub enum Maybe<B: Backend> {
    Absent,
    Present(FloatTensor<B>),
}

impl<B: Backend> From<Option<FloatTensor<B>>> for Maybe<B> {
    fn from(tensor: Option<FloatTensor<B>>) -> Self {
        tensor.map_or(Self::Absent, Self::Present)
    }
}

impl<B: Backend> Maybe<B> {
    pub fn into_option(self) -> Option<FloatTensor<B>> {
        match self {
            Self::Absent => None,
            Self::Present(tensor) => Some(tensor),
        }
    }
}

/// See [`crate::conv3d`].
#[backend_extension(Flex)]
pub trait Conv3d: Backend {
    fn history_conv3d(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        #[extension_type] bias: Maybe<Self>,
        #[extension_type] history: Maybe<Self>,
        options: Conv3dOptions,
    ) -> FloatTensor<Self>;
}

impl Conv3d for Flex {
    fn history_conv3d(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Maybe<Self>,
        history: Maybe<Self>,
        options: Conv3dOptions,
    ) -> FloatTensor<Self> {
        cpu::conv3d(x, weight, bias.into_option(), history.into_option(), options)
    }
}
