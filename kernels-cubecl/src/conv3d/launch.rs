//! From tensors to a kernel, or to the twin.

use burn::{
    backend::{Backend, Dispatch, ExtensionType, Flex, backend_extension, tensor::FloatTensor},
    tensor::{Device, Tensor},
};
use burn_cubecl::CubeBackend;

use super::{
    Conv3dOptions,
    call::Call,
    cpu,
    form::{SHARED_BYTES, UNITS},
    kernel::winograd,
    method::Method,
    shape::ConvShape,
};
use crate::{DeviceCaps, DeviceKind, KernelError, Needs, Operation};

pub(crate) const OPERATION: Operation = Operation {
    name: "conv3d",
    cube: Some(Needs {
        bindings: 5,
        shared_memory_bytes: SHARED_BYTES,
        units: UNITS as u32,
        plane_ops: false,
    }),
    twin: true,
    flex_backend: true,
};

const _: () = assert!(winograd::SHARED_BYTES <= SHARED_BYTES && winograd::UNITS <= UNITS);

/// A tensor or none: backend extensions do not map `Option`.
#[derive(ExtensionType)]
#[extension_type(fusion: cfg(feature = "fusion"))]
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

/// The frames before a chunk, the oldest first: backend extensions do not map lists.
#[derive(ExtensionType)]
#[extension_type(fusion: cfg(feature = "fusion"))]
pub enum Past<B: Backend> {
    None,
    One(FloatTensor<B>),
    Two(FloatTensor<B>, FloatTensor<B>),
}

impl Past<Dispatch> {
    /// Of at most two pieces.
    pub fn of(pieces: Vec<Tensor<5>>) -> Self {
        let mut pieces = pieces.into_iter().map(Tensor::into_dispatch);
        match (pieces.next(), pieces.next()) {
            (None, _) => Self::None,
            (Some(only), None) => Self::One(only),
            (Some(older), Some(newer)) => Self::Two(older, newer),
        }
    }
}

/// See [`crate::conv3d`].
#[backend_extension(Cube, Flex, Fusion: cfg(feature = "fusion"))]
pub trait Conv3d: Backend {
    #[fusion(dtype = x, shape = {
        let [frames, window] = [x, weight].map(|shape| shape.dims());
        ConvShape::new(frames, window, None, None, *options).expect("checked before the dispatch").result()
    })]
    fn history_conv3d(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        #[extension_type] bias: Maybe<Self>,
        #[extension_type] history: Past<Self>,
        options: Conv3dOptions,
    ) -> FloatTensor<Self>;
}

impl Conv3d for Flex {
    fn history_conv3d(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Maybe<Self>,
        history: Past<Self>,
        options: Conv3dOptions,
    ) -> FloatTensor<Self> {
        let history = match history {
            Past::None => vec![],
            Past::One(frames) => vec![frames],
            Past::Two(older, newer) => vec![older, newer],
        };
        cpu::conv3d(x, weight, bias.into_option(), history, options)
    }
}

impl Conv3d for CubeBackend {
    fn history_conv3d(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Maybe<Self>,
        history: Past<Self>,
        options: Conv3dOptions,
    ) -> FloatTensor<Self> {
        let history = match history {
            Past::None => None,
            Past::One(frames) => Some(frames),
            Past::Two(..) => unreachable!("pieces are joined before the dispatch"),
        };
        Call::new(x, weight, bias.into_option(), history, options).run()
    }
}

/// Whether a kernel takes calls of `shape` on `device`.
pub(super) fn fits(shape: ConvShape, options: Conv3dOptions, device: &Device) -> Result<(), KernelError> {
    if DeviceCaps::of(device).kind != DeviceKind::Cube {
        return Ok(());
    }
    let Some(method) = Method::new(shape, options, false) else {
        let cause = format!("a window of {:?} exceeds the shared memory of a cube", shape.kernel);
        return Err(KernelError::Unavailable { operation: OPERATION.name, cause });
    };
    let padded = [0, 1, 2].map(|axis| {
        let (before, after) = options.padding[axis];
        shape.size[axis] + before + after
    });
    // Indices and positions are 32 bits wide.
    let counts = [shape.largest(), method.tiles(shape).iter().product()];
    let limit = u64::from(u32::MAX);
    match counts.into_iter().chain(padded).map(|count| count as u64).find(|&count| count > limit) {
        Some(needed) => {
            let what = "elements or tiles";
            Err(KernelError::LimitExceeded { operation: OPERATION.name, what, needed, limit })
        }
        None => Ok(()),
    }
}
