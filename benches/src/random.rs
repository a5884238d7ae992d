//! Well-scaled random weights for any module, fast enough for billions of them.

use burn::{
    module::{Module, ModuleMapper, Param},
    prelude::*,
};

/// Fills every parameter with nearly normal values of variance one over its fan-in (biases: around zero, norms and other
/// vectors: around one), so that activations keep their scale. One tensor is in flight at a time.
pub fn fill<M: Module>(module: M) -> M {
    module.map(&mut Filler::new())
}

struct Filler {
    state: u64,
    /// Names of the parameter's fields, outermost first.
    path: Vec<String>,
}

impl Filler {
    fn new() -> Self {
        Self { state: 0x2545_f491_4f6c_dd1d, path: Vec::new() }
    }

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
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let shape = param.lazy_shape();
        let (mean, deviation) = self.distribution(&shape);
        let values: Vec<f32> = (0..shape.num_elements()).map(|_| mean + deviation * self.next()).collect();
        let tensor = Tensor::from_data(TensorData::new(values, shape), &param.lazy_device());
        let id = param.id;
        param.transform_for_load(tensor, id)
    }
}

impl Filler {
    /// Mean and deviation.
    fn distribution(&self, shape: &[usize]) -> (f32, f32) {
        let inputs: usize = shape.iter().skip(1).product();
        match shape {
            [_] if self.path.last().is_some_and(|name| name == "bias") => (0.0, 0.1),
            [_] => (1.0, 0.1),
            _ => (0.0, (inputs as f32).sqrt().recip()),
        }
    }
}
