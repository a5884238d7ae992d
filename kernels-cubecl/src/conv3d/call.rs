//! Arguments and result of a call, and the launches that fill it.

use std::ops::Range;

use burn::{
    backend::{TensorMetadata, cubecl::dtype_to_storage_type},
    tensor::DType,
};
use burn_cubecl::{kernel::into_contiguous, ops::numeric::empty_device_contiguous_dtype, tensor::CubeTensor};
use cubecl::prelude::*;

use super::{
    Conv3dOptions,
    form::{Form, UNITS},
    kernel::{
        SizesLaunch, StridesLaunch, conv3d_kernel,
        winograd::{self, FOURS, POINTS, TILE, filters_kernel, winograd_kernel},
    },
    method::{Method, tiles_at_once},
    shape::ConvShape,
};
use crate::{
    DeviceCaps,
    cube::{FLAT_UNITS, flat_cubes},
    split::{self, Work},
};

/// Arguments and result of a call.
pub struct Call {
    x: CubeTensor,
    history: CubeTensor,
    weight: CubeTensor,
    bias: CubeTensor,
    out: CubeTensor,
    shape: ConvShape,
    options: Conv3dOptions,
    method: Method,
}

impl Call {
    /// # Panics
    /// If the shapes do not fit together, or no kernel takes them.
    pub fn new(
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
        let method = Method::new(shape, options, bias.is_some()).expect("checked before the dispatch");
        let (x, weight) = (with_dense_pixels(x), into_contiguous(weight));
        let out = empty_device_contiguous_dtype(x.client.clone(), x.device.clone(), shape.result(), x.dtype);
        // Nothing reads what is absent, but a kernel's arguments are fixed.
        let history = history.map_or_else(|| x.clone(), with_dense_pixels);
        let bias = bias.map_or_else(|| weight.clone(), into_contiguous);
        Self { x, history, weight, bias, out, shape, options, method }
    }

    /// The result.
    pub fn run(self) -> CubeTensor {
        let (work, at_once) = (self.method.work(self.shape), tiles_at_once(self.shape));
        self.run_by(work, at_once)
    }

    /// In launches as short as a cube's `work` demands, with the filters of `at_once` tiles of channels transformed at
    /// a time.
    fn run_by(self, work: Work, at_once: usize) -> CubeTensor {
        let caps = DeviceCaps::from_properties(self.out.client.properties(), self.out.client.name());
        match self.method {
            Method::Direct(form) => {
                for range in split::launches(self.tiles(), work, &caps) {
                    self.direct(form, range, &caps);
                }
            }
            Method::Winograd { bias } => self.filtered(bias, work, at_once, &caps),
        }
        self.out
    }

    fn tiles(&self) -> usize {
        self.method.tiles(self.shape).iter().product()
    }

    /// Computes the tiles of `range`.
    fn direct(&self, form: Form, range: Range<usize>, caps: &DeviceCaps) {
        let [_, channel_tiles, ..] = self.method.tiles(self.shape);
        // SAFETY: pixels are read within frames that exist, weights and biases below the channels; results are
        // written below the sizes of `out`.
        unsafe {
            conv3d_kernel::launch_unchecked(
                &self.out.client,
                cubes(&range, caps),
                CubeDim::new_1d(UNITS as u32),
                self.x.clone().into_buffer_arg(),
                self.history.clone().into_buffer_arg(),
                self.weight.clone().into_buffer_arg(),
                self.bias.clone().into_buffer_arg(),
                self.out.clone().into_buffer_arg(),
                strides(&self.x),
                strides(&self.history),
                self.sizes(range, channel_tiles),
                form,
                dtype_to_storage_type(self.out.dtype),
            );
        }
    }

    /// Computes all tiles, `at_once` of those over channels at a time.
    fn filtered(&self, bias: bool, work: Work, at_once: usize, caps: &DeviceCaps) {
        let [frames, channel_tiles, rows, columns] = self.method.tiles(self.shape);
        let at_once = at_once.min(channel_tiles);
        let Self { weight, shape, .. } = self;
        let dims = [at_once, shape.kernel[0], shape.inputs, POINTS, TILE[0]].into();
        let (client, device) = (weight.client.clone(), weight.device.clone());
        let filters = empty_device_contiguous_dtype(client, device, dims, DType::F32);
        for channels in split::ranges(channel_tiles, at_once) {
            self.transform(&filters, &channels);
            for range in split::launches(frames * channels.len() * rows * columns, work, caps) {
                self.filter(&filters, &channels, bias, range, caps);
            }
        }
    }

    /// Fills `filters` for the tiles `channels`.
    fn transform(&self, filters: &CubeTensor, channels: &Range<usize>) {
        let [inputs, outputs, depth] =
            [self.shape.inputs, self.shape.outputs, self.shape.kernel[0]].map(|n| n as u32);
        let total = channels.len() * self.shape.kernel[0] * self.shape.inputs * FOURS;
        // SAFETY: weights are read below the channels, and one line of points written by each unit below `total`.
        unsafe {
            filters_kernel::launch_unchecked(
                &filters.client,
                flat_cubes(total, filters),
                CubeDim::new_1d(FLAT_UNITS),
                self.weight.clone().into_buffer_arg(),
                filters.clone().into_buffer_arg(),
                inputs,
                outputs,
                depth,
                channels.start as u32,
                total as u32,
                dtype_to_storage_type(self.weight.dtype),
            );
        }
    }

    /// Computes tiles `range` of those over `channels`.
    fn filter(
        &self,
        filters: &CubeTensor,
        channels: &Range<usize>,
        bias: bool,
        range: Range<usize>,
        caps: &DeviceCaps,
    ) {
        // SAFETY: pixels are read within frames that exist, filters below the tiles they were made for, biases below
        // the channels; results are written below the sizes of `out`.
        unsafe {
            winograd_kernel::launch_unchecked(
                &self.out.client,
                cubes(&range, caps),
                CubeDim::new_1d(winograd::UNITS as u32),
                self.x.clone().into_buffer_arg(),
                self.history.clone().into_buffer_arg(),
                filters.clone().into_buffer_arg(),
                self.bias.clone().into_buffer_arg(),
                self.out.clone().into_buffer_arg(),
                strides(&self.x),
                strides(&self.history),
                self.sizes(range, channels.len()),
                (channels.start * TILE[0]) as u32,
                bias,
                dtype_to_storage_type(self.out.dtype),
            );
        }
    }

    fn sizes(&self, range: Range<usize>, channel_tiles: usize) -> SizesLaunch {
        let narrow = |n: usize| n as u32; // Below 2^32, as was checked.
        let (shape, options) = (self.shape, self.options);
        let [frames, height, width] = shape.size.map(narrow);
        let [out_frames, out_height, out_width] = shape.out.map(narrow);
        let [before, above, left] = options.padding.map(|(before, _)| narrow(before));
        let [_, _, row_tiles, column_tiles] = self.method.tiles(shape).map(narrow);
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
            narrow(channel_tiles),
            row_tiles,
            column_tiles,
            narrow(range.start),
            narrow(range.end),
        )
    }
}

/// One for each tile of `range`.
fn cubes(range: &Range<usize>, caps: &DeviceCaps) -> CubeCount {
    let [x, y, z] = split::cube_count(range.len() as u64, caps.max_cube_count)
        .expect("launches hold no more cubes than the device allows");
    CubeCount::Static(x, y, z)
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
    use burn::{
        backend::{DispatchDevice, ops::FloatTensorOps},
        tensor::Device,
    };
    use burn_cubecl::CubeBackend;
    use cubecl::future::block_on;

    use super::*;

    fn tensor<const D: usize>(seed: u64, shape: [usize; D], device: &Device) -> CubeTensor {
        let DispatchDevice::Cube(cube) = device.as_dispatch() else {
            panic!("the test runs on CubeCL devices")
        };
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
            for (width, filtered) in [(3, true), (4, false)] {
                let calls = [(f64::INFINITY, 1), (0.0, usize::MAX)].map(|(flops, at_once)| {
                    let x = tensor(1, [2, 16, 2, 9, 17], &device);
                    let weight = tensor(2, [70, 16, 1, 3, width], &device);
                    let options = Conv3dOptions { stride: [1; 3], padding: [(0, 0), (1, 1), (1, 1)] };
                    let call = Call::new(x, weight, None, None, options);
                    assert_eq!(matches!(call.method, Method::Winograd { .. }), filtered);
                    assert!(call.tiles() > 8, "several tiles over every axis");
                    call.run_by(Work { flops, bytes: 0.0 }, at_once)
                });
                let [single, whole] = calls.map(values);
                assert!(single == whole && whole.iter().any(|&v| v != 0.0));
            }
        }
    }
}
