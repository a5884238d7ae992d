//! From tensors to launches of the kernel, or to the twin.

use std::ops::Range;

use burn::{
    backend::{
        Backend, ExtensionType, Flex, TensorMetadata, backend_extension, cubecl::dtype_to_storage_type,
        tensor::FloatTensor,
    },
    tensor::Device,
};
use burn_cubecl::{
    CubeBackend, kernel::into_contiguous, ops::numeric::empty_device_contiguous_dtype, tensor::CubeTensor,
};
use cubecl::prelude::*;

use super::{
    Conv3dOptions, cpu,
    form::{Form, PIXELS, SHARED_BYTES, UNITS},
    kernel::{SizesLaunch, StridesLaunch, conv3d_kernel},
    shape::ConvShape,
};
use crate::{
    DeviceCaps, DeviceKind, KernelError, Needs, Operation,
    split::{self, Work},
};

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

impl Conv3d for CubeBackend {
    fn history_conv3d(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Maybe<Self>,
        history: Maybe<Self>,
        options: Conv3dOptions,
    ) -> FloatTensor<Self> {
        let call = Call::new(x, weight, bias.into_option(), history.into_option(), options);
        let caps = DeviceCaps::from_properties(call.out.client.properties(), call.out.client.name());
        for range in split::launches(call.tiles(), call.tile_work(), &caps) {
            call.launch(range, &caps);
        }
        call.out
    }
}

/// Whether the kernel takes calls of `shape` on `device`.
pub(super) fn fits(shape: ConvShape, options: Conv3dOptions, device: &Device) -> Result<(), KernelError> {
    if DeviceCaps::of(device).kind != DeviceKind::Cube {
        return Ok(());
    }
    let Some(form) = form(shape, options, false) else {
        let cause = format!("a window of {:?} exceeds the shared memory of a cube", shape.kernel);
        return Err(KernelError::Unavailable { operation: OPERATION.name, cause });
    };
    let padded = [0, 1, 2].map(|axis| {
        let (before, after) = options.padding[axis];
        shape.size[axis] + before + after
    });
    // Indices and positions are 32 bits wide.
    let counts = [shape.largest(), tiles(shape, form).iter().product()];
    let limit = u64::from(u32::MAX);
    match counts.into_iter().chain(padded).map(|count| count as u64).find(|&count| count > limit) {
        Some(needed) => {
            let what = "elements or tiles";
            Err(KernelError::LimitExceeded { operation: OPERATION.name, what, needed, limit })
        }
        None => Ok(()),
    }
}

fn form(shape: ConvShape, options: Conv3dOptions, bias: bool) -> Option<Form> {
    let [_, rows, columns] = shape.kernel;
    let [_, down, right] = options.stride;
    Form::new([rows, columns], [down, right], shape.outputs, bias)
}

/// Of all batch items and frames, over channels, rows and columns.
fn tiles(shape: ConvShape, form: Form) -> [usize; 4] {
    let [t, h, w] = shape.out;
    let over = [shape.outputs.div_ceil(form.channels()), h.div_ceil(form.rows()), w.div_ceil(form.columns())];
    [shape.batch * t, over[0], over[1], over[2]]
}

/// Arguments and result of a call.
struct Call {
    x: CubeTensor,
    history: CubeTensor,
    weight: CubeTensor,
    bias: CubeTensor,
    out: CubeTensor,
    shape: ConvShape,
    options: Conv3dOptions,
    form: Form,
}

impl Call {
    fn new(
        x: CubeTensor,
        weight: CubeTensor,
        bias: Option<CubeTensor>,
        history: Option<CubeTensor>,
        options: Conv3dOptions,
    ) -> Self {
        let dims = |tensor: &CubeTensor| tensor.shape().dims::<5>();
        let bias_dims = bias.as_ref().map(|bias| bias.shape().dims::<1>());
        let shape = ConvShape::new(dims(&x), dims(&weight), bias_dims, history.as_ref().map(dims), options)
            .expect("checked before the dispatch");
        let form = form(shape, options, bias.is_some()).expect("checked before the dispatch");
        let (x, weight) = (with_dense_pixels(x), into_contiguous(weight));
        let out = empty_device_contiguous_dtype(x.client.clone(), x.device.clone(), shape.result(), x.dtype);
        // Nothing reads what is absent, but a kernel's arguments are fixed.
        let history = history.map_or_else(|| x.clone(), with_dense_pixels);
        let bias = bias.map_or_else(|| weight.clone(), into_contiguous);
        Self { x, history, weight, bias, out, shape, options, form }
    }

    fn tiles(&self) -> usize {
        tiles(self.shape, self.form).iter().product()
    }

    /// Of one cube.
    fn tile_work(&self) -> Work {
        let sums = UNITS * 8 * PIXELS;
        let terms = self.shape.inputs * self.shape.kernel[0] * self.form.taps();
        Work { flops: 2.0 * sums as f64 * terms as f64, bytes: 0.0 }
    }

    /// Computes the tiles of `range`.
    fn launch(&self, range: Range<usize>, caps: &DeviceCaps) {
        let [x, y, z] = split::cube_count(range.len() as u64, caps.max_cube_count)
            .expect("launches hold no more cubes than the device allows");
        // SAFETY: pixels are read within frames that exist, weights and biases below the channels; results are
        // written below the sizes of `out`.
        unsafe {
            conv3d_kernel::launch_unchecked(
                &self.out.client,
                CubeCount::Static(x, y, z),
                CubeDim::new_1d(UNITS as u32),
                self.x.clone().into_buffer_arg(),
                self.history.clone().into_buffer_arg(),
                self.weight.clone().into_buffer_arg(),
                self.bias.clone().into_buffer_arg(),
                self.out.clone().into_buffer_arg(),
                strides(&self.x),
                strides(&self.history),
                self.sizes(range),
                self.form,
                dtype_to_storage_type(self.out.dtype),
            );
        }
    }

    fn sizes(&self, range: Range<usize>) -> SizesLaunch {
        let narrow = |n: usize| n as u32; // Below 2^32, as was checked.
        let (shape, options) = (self.shape, self.options);
        let [frames, height, width] = shape.size.map(narrow);
        let [out_frames, out_height, out_width] = shape.out.map(narrow);
        let [before, above, left] = options.padding.map(|(before, _)| narrow(before));
        let [_, channel_tiles, row_tiles, column_tiles] = tiles(shape, self.form).map(narrow);
        SizesLaunch::new(
            narrow(shape.inputs),
            narrow(shape.outputs),
            frames,
            narrow(shape.past),
            height,
            width,
            out_frames,
            out_height,
            out_width,
            narrow(shape.kernel[0]),
            narrow(options.stride[0]),
            before,
            above,
            left,
            channel_tiles,
            row_tiles,
            column_tiles,
            narrow(range.start),
            narrow(range.end),
        )
    }
}

fn strides(x: &CubeTensor) -> StridesLaunch {
    let at = |dim: usize| x.meta.strides()[dim] as u32;
    StridesLaunch::new(at(0), at(1), at(2))
}

/// `x` itself if the pixels of its frames are contiguous and all of it lies within 32-bit indices, else a copy.
fn with_dense_pixels(x: CubeTensor) -> CubeTensor {
    let dims: [usize; 5] = x.shape().dims();
    let strides = x.meta.strides();
    let span: usize = (0..3).map(|axis| dims[axis] * strides[axis]).sum();
    let dense = strides[3] == dims[4] && strides[4] == 1 && span <= u32::MAX as usize;
    if dense { x } else { into_contiguous(x) }
}

#[cfg(test)]
mod tests {
    use burn::backend::{DispatchDevice, ops::FloatTensorOps};
    use cubecl::future::block_on;

    use super::*;

    fn tensor<const D: usize>(seed: u64, shape: [usize; D], device: &Device) -> CubeTensor {
        let DispatchDevice::Cube(cube) = device.as_dispatch() else { panic!("not a CubeCL device") };
        CubeBackend::float_from_data(testkit::tensor::<D>(seed, shape, &Device::flex()).into_data(), cube)
    }

    fn values(x: CubeTensor) -> Vec<f32> {
        let data = block_on(CubeBackend::float_into_data(x)).expect("the kernel runs");
        data.try_into_vec().expect("f32")
    }

    /// One tile of channels and pixels to a launch gives what all tiles in one launch give.
    #[test]
    fn launches_cover_all_tiles() {
        for device in testkit::devices().into_iter().filter(|device| device.gpu).map(|device| device.device) {
            let caps = DeviceCaps::of(&device);
            let arguments = || (tensor(1, [2, 3, 2, 9, 17], &device), tensor(2, [70, 3, 1, 3, 3], &device));
            let options = Conv3dOptions { stride: [1; 3], padding: [(0, 0), (1, 1), (1, 1)] };
            let calls = [1, usize::MAX].map(|most| {
                let (x, weight) = arguments();
                let call = Call::new(x, weight, None, None, options);
                assert!(call.tiles() > 8, "several tiles over every axis");
                split::ranges(call.tiles(), most).for_each(|range| call.launch(range, &caps));
                call.out
            });
            let [single, whole] = calls.map(values);
            assert!(single == whole && whole.iter().any(|&v| v != 0.0));
        }
    }
}
