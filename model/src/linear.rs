//! The one linear layer of all networks: precision lives here, below them.

use burn::{
    module::{Module, Param},
    prelude::*,
    tensor::DType,
};
use wan_kernels::{QuantizedMatrix, gelu, gelu_bias, linear};

use crate::param::param;

/// `y = x W^T + b`. The weight keeps the checkpoint's `[out, in]` layout; its dtype is the dtype of the matmul
/// inputs. Input and output are f32, so the residual stream never loses precision.
#[derive(Module, Debug)]
pub struct Linear {
    weight: Weight,
    bias: Option<Param<Tensor<1>>>,
}

/// A weight `[out, in]` as it is held.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "a box is no module, and a network has some hundred of these")]
enum Weight {
    Float(Param<Tensor<2>>),
    /// In fewer bits, with the dtype of the products' other side.
    Quantized(QuantizedWeight),
}

#[derive(Module, Debug)]
struct QuantizedWeight {
    matrix: QuantizedMatrix,
    #[module(skip)]
    dtype: DType,
}

impl QuantizedWeight {
    /// `[m, in]` to `[m, out]`, f32 or after GELU in the products' dtype.
    fn apply(&self, x: Tensor<2>, bias: Option<Tensor<1>>, then_gelu: bool) -> Tensor<2> {
        let y = self.matrix.matmul(x.cast(self.dtype)).cast(self.dtype);
        match (bias, then_gelu) {
            (None, false) => y.cast(DType::F32),
            (None, true) => gelu(y),
            (Some(bias), false) => y.cast(DType::F32) + bias.cast(DType::F32).unsqueeze(),
            (Some(bias), true) => gelu_bias(y.unsqueeze(), bias).squeeze_dim(0),
        }
    }
}

/// Networks whose large linear layers may be held in fewer bits.
pub trait LargeLinears {
    /// Shows `visit` each of them with its module path, which begins with `at`.
    fn large_linears(&mut self, at: &str, visit: &mut dyn FnMut(&str, &mut Linear));
}

impl Linear {
    /// A layer with bias, without memory until loaded.
    pub fn new(inputs: usize, outputs: usize, device: &Device) -> Self {
        Self { bias: Some(param([outputs], device)), ..Self::without_bias(inputs, outputs, device) }
    }

    /// A layer without bias.
    pub fn without_bias(inputs: usize, outputs: usize, device: &Device) -> Self {
        Self { weight: Weight::Float(param([outputs, inputs], device)), bias: None }
    }

    /// Takes `matrix` for the weight, products with it having `dtype`.
    pub fn quantize(&mut self, matrix: QuantizedMatrix, dtype: DType) {
        self.weight = Weight::Quantized(QuantizedWeight { matrix, dtype });
    }

    /// The dtype of the matmul inputs.
    pub fn dtype(&self) -> DType {
        match &self.weight {
            Weight::Float(weight) => weight.val().dtype(),
            Weight::Quantized(weight) => weight.dtype,
        }
    }

    /// `[out, in]` in floats, if it is held so.
    pub fn weight(&self) -> Option<Tensor<2>> {
        match &self.weight {
            Weight::Float(weight) => Some(weight.val()),
            Weight::Quantized(_) => None,
        }
    }

    /// `[out, in]`.
    pub fn shape(&self) -> [usize; 2] {
        match &self.weight {
            Weight::Float(weight) => weight.lazy_shape().dims(),
            Weight::Quantized(weight) => weight.matrix.dims(),
        }
    }

    /// `[b, l, in]` f32 to `[b, l, out]` f32.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.apply(x, false)
    }

    /// GELU (tanh form) of [`Self::forward`], `[b, l, out]` in the dtype that the next product takes, or f32.
    pub fn forward_gelu(&self, x: Tensor<3>) -> Tensor<3> {
        self.apply(x, true)
    }

    /// One plain matrix product: a batch of broadcast products would read the weight once per item.
    fn apply(&self, x: Tensor<3>, then_gelu: bool) -> Tensor<3> {
        let ([b, l, inputs], [outputs, _]) = (x.dims(), self.shape());
        let x = x.reshape([b * l, inputs]);
        let bias = self.bias.as_ref().map(Param::val);
        let y = match &self.weight {
            Weight::Float(weight) => linear(x, weight.val(), bias, then_gelu),
            Weight::Quantized(weight) => weight.apply(x, bias, then_gelu),
        };
        y.reshape([b, l, outputs])
    }
}

/// Shows `visit` layers of one module by their names.
pub(crate) fn visit_all<'a>(
    at: &str,
    layers: impl IntoIterator<Item = (&'static str, &'a mut Linear)>,
    visit: &mut dyn FnMut(&str, &mut Linear),
) {
    layers.into_iter().for_each(|(name, layer)| visit(&format!("{at}.{name}"), layer));
}
