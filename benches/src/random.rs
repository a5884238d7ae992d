//! Well-scaled random weights for any module, fast enough for billions of them.

use burn::{
    module::{Module, ModuleMapper, Param},
    prelude::*,
};

/// Fills every parameter with nearly normal values of variance one over its fan-in (biases: around zero, norms and other
/// vectors: around one), so that activations keep their scale. One tensor is in flight at a time.
pub fn fill<M: Module>(module: M) -> M {
    module.map(&mut Filler { generator: Generator::new(0), path: Vec::new() })
}

struct Filler {
    generator: Generator,
    /// Names of the parameter's fields, outermost first.
    path: Vec<String>,
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
        let (mean, deviation) = distribution(self.path.last().map_or("", String::as_str), &shape);
        let value = |_| mean + deviation * self.generator.normal();
        let values: Vec<f32> = (0..shape.num_elements()).map(value).collect();
        let tensor = Tensor::from_data(TensorData::new(values, shape), &param.lazy_device());
        let id = param.id;
        param.transform_for_load(tensor, id)
    }
}

/// Mean and deviation of the values of a parameter whose name ends in `name`.
pub(crate) fn distribution(name: &str, shape: &[usize]) -> (f32, f32) {
    let inputs: usize = shape.iter().skip(1).product();
    match shape {
        [_] if name.ends_with("bias") => (0.0, 0.1),
        [_] => (1.0, 0.1),
        _ => (0.0, (inputs as f32).sqrt().recip()),
    }
}

/// Xorshift.
pub(crate) struct Generator(u64);

impl Generator {
    pub fn new(seed: u64) -> Self {
        // Neighbouring seeds must not give neighbouring states (splitmix64).
        let mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self((mixed ^ (mixed >> 31)) | 1)
    }

    /// The sum of four uniform values of 16 bits, of variance one: near enough to a normal one, and cheap.
    pub fn normal(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let sum: u64 = (0..4).map(|lane| (self.0 >> (16 * lane)) & 0xffff).sum();
        (sum as f32 / 32_768.0 - 4.0) * (3f32.sqrt() / 2.0)
    }
}
