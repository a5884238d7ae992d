//! From tensors to launches of the kernels, or to the twin.

use std::ops::Range;

use burn::{
    backend::{
        Backend, Flex, TensorMetadata, backend_extension,
        cubecl::dtype_to_storage_type,
        tensor::{FloatTensor, IntTensor},
    },
    tensor::{DType, Shape},
};
use burn_cubecl::{
    CubeBackend, kernel::into_contiguous, ops::numeric::empty_device_contiguous_dtype, tensor::CubeTensor,
};
use cubecl::prelude::*;

use super::{
    cpu,
    kernel::{
        Code, Form, SHARED_BYTES, SIDE, SizesLaunch, TILE,
        few::{self, MOST_ROWS, OUTPUTS, quantized_rows_kernel},
        quantized_product_kernel,
    },
};
use crate::{
    DeviceCaps, Needs, Operation,
    split::{self, Work},
};

const NEEDS: Needs =
    Needs { bindings: 6, shared_memory_bytes: SHARED_BYTES, units: (SIDE * SIDE) as u32, plane_ops: false };

const _: () = assert!(few::SHARED_BYTES <= SHARED_BYTES);

pub(crate) const INT8: Operation =
    Operation { name: "matmul_int8", cube: Some(NEEDS), twin: true, flex_backend: false };

pub(crate) const NF4: Operation = Operation { name: "matmul_nf4", ..INT8 };

/// Vectors of activations that are read at once.
const VECTOR: usize = 4;

/// Up to so many rows of activations, tiles of them would be empty for the most part.
const FEW: usize = 4 * MOST_ROWS;

/// What a product is besides its tensors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Product {
    pub code: Code,
    /// Values of a row that share a scale.
    pub block: usize,
    /// Of nested maxima.
    pub offset: Option<f32>,
}

impl Product {
    pub fn int8(block: usize) -> Self {
        Self { code: Code::Int8, block, offset: None }
    }

    pub fn nf4(block: usize) -> Self {
        Self { code: Code::Nf4, block, offset: None }
    }

    pub fn nested(block: usize, offset: f32) -> Self {
        Self { code: Code::Nf4, block, offset: Some(offset) }
    }
}

/// See [`crate::matmul_int8`] and [`crate::matmul_nf4`]; `codes` and `map` are those of nested maxima, and any where
/// there are none.
#[backend_extension(Cube, Flex, Fusion: cfg(feature = "fusion"))]
pub trait QuantizedProduct: Backend {
    #[fusion(dtype = DType::F32, shape = result(x, words))]
    fn quantized_product(
        x: FloatTensor<Self>,
        words: IntTensor<Self>,
        scales: FloatTensor<Self>,
        codes: IntTensor<Self>,
        map: FloatTensor<Self>,
        product: Product,
    ) -> FloatTensor<Self>;
}

impl QuantizedProduct for Flex {
    fn quantized_product(
        x: FloatTensor<Self>,
        words: IntTensor<Self>,
        scales: FloatTensor<Self>,
        codes: IntTensor<Self>,
        map: FloatTensor<Self>,
        product: Product,
    ) -> FloatTensor<Self> {
        cpu::product(x, words, scales, [codes, map], product)
    }
}

impl QuantizedProduct for CubeBackend {
    fn quantized_product(
        x: FloatTensor<Self>,
        words: IntTensor<Self>,
        scales: FloatTensor<Self>,
        codes: IntTensor<Self>,
        map: FloatTensor<Self>,
        product: Product,
    ) -> FloatTensor<Self> {
        let [x, words, scales, codes, map] = [x, words, scales, codes, map].map(into_contiguous);
        let ([m, k], [n, _]) = (x.shape().dims(), words.shape().dims());
        let shape = result(&x.shape(), &words.shape());
        let out = empty_device_contiguous_dtype(x.client.clone(), x.device.clone(), shape, DType::F32);
        Call { x, words, scales, codes, map, out, product, sizes: [m, n, k] }.run()
    }
}

/// `[m, n]`
fn result(x: &Shape, words: &Shape) -> Shape {
    [x[0], words[0]].into()
}

struct Call {
    x: CubeTensor,
    words: CubeTensor,
    scales: CubeTensor,
    codes: CubeTensor,
    map: CubeTensor,
    out: CubeTensor,
    product: Product,
    /// m, n and k.
    sizes: [usize; 3],
}

impl Call {
    fn run(self) -> CubeTensor {
        let caps = DeviceCaps::from_properties(self.out.client.properties(), self.out.client.name());
        let [m, n, k] = self.sizes;
        let few = m <= FEW;
        let (tiles, results) = match few {
            true => (m.div_ceil(MOST_ROWS) * n.div_ceil(OUTPUTS), MOST_ROWS * OUTPUTS),
            false => (m.div_ceil(TILE) * n.div_ceil(TILE), TILE * TILE),
        };
        let work = Work { flops: 2.0 * (results * k) as f64, bytes: 0.0 };
        for tiles in split::launches(tiles, work, &caps) {
            let [x, y, z] = split::cube_count(tiles.len() as u64, caps.max_cube_count)
                .expect("launches hold no more cubes than the device allows");
            let cubes = CubeCount::Static(x, y, z);
            if few { self.launch_rows(tiles, cubes) } else { self.launch_tiles(tiles, cubes) }
        }
        self.out
    }

    fn form(&self) -> Form {
        Form { code: self.product.code, nested: self.product.offset.is_some() }
    }

    fn launch_tiles(&self, tiles: Range<usize>, cubes: CubeCount) {
        // SAFETY: rows are read below `m` and `n`, words below `k`; results are written below `m` and `n`.
        unsafe {
            quantized_product_kernel::launch_unchecked(
                &self.out.client,
                cubes,
                CubeDim::new_1d((SIDE * SIDE) as u32),
                VECTOR,
                self.x.clone().into_buffer_arg(),
                self.words.clone().into_buffer_arg(),
                self.scales.clone().into_buffer_arg(),
                self.codes.clone().into_buffer_arg(),
                self.map.clone().into_buffer_arg(),
                self.out.clone().into_buffer_arg(),
                self.launch_sizes(tiles),
                self.product.offset.unwrap_or(0.0),
                self.form(),
                [self.x.dtype, self.scales.dtype].map(dtype_to_storage_type),
            );
        }
    }

    fn launch_rows(&self, tiles: Range<usize>, cubes: CubeCount) {
        // SAFETY: as above.
        unsafe {
            quantized_rows_kernel::launch_unchecked(
                &self.out.client,
                cubes,
                CubeDim::new_1d((SIDE * SIDE) as u32),
                VECTOR,
                self.x.clone().into_buffer_arg(),
                self.words.clone().into_buffer_arg(),
                self.scales.clone().into_buffer_arg(),
                self.codes.clone().into_buffer_arg(),
                self.map.clone().into_buffer_arg(),
                self.out.clone().into_buffer_arg(),
                self.launch_sizes(tiles),
                self.product.offset.unwrap_or(0.0),
                self.form(),
                self.sizes[0].next_power_of_two().min(MOST_ROWS),
                [self.x.dtype, self.scales.dtype].map(dtype_to_storage_type),
            );
        }
    }

    fn launch_sizes(&self, tiles: Range<usize>) -> SizesLaunch {
        // Below 2^32, as the elements of every tensor are.
        let [m, n, k] = self.sizes.map(|size| size as u32);
        SizesLaunch::new(m, n, k, self.product.block as u32, tiles.start as u32, tiles.end as u32)
    }
}
