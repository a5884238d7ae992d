//! Well-scaled random weights for any module, fast enough for billions of them.

use burn::{
    module::{Module, ModuleMapper, Param},
    prelude::*,
};

/// Fills every parameter with nearly normal values of variance one over its fan-in (norms and other vectors: around one),
/// so that activations keep their scale. One tensor is in flight at a time.
pub fn fill<M: Module>(module: M) -> M {
    module.map(&mut Filler { state: 0x2545_f491_4f6c_dd1d })
}

struct Filler {
    state: u64,
}

impl Filler {
    /// The sum of four uniform values, of variance one: near enough to a normal one, and cheap.
    fn next(&mut self) -> f32 {
        (self.uniform() + self.uniform() + self.uniform() + self.uniform()) * (3f32.sqrt() / 2.0)
    }

    /// In `-1..1` (xorshift).
    fn uniform(&mut self) -> f32 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}

impl ModuleMapper for Filler {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let shape = param.lazy_shape();
        let fan_in: usize = shape.iter().skip(1).product();
        let scale = (fan_in as f32).sqrt().recip();
        let mut value = || if D == 1 { 1.0 + 0.1 * self.next() } else { scale * self.next() };
        let values: Vec<f32> = (0..shape.num_elements()).map(|_| value()).collect();
        let tensor = Tensor::from_data(TensorData::new(values, shape), &param.lazy_device());
        let id = param.id;
        param.transform_for_load(tensor, id)
    }
}
