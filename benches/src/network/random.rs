//! Random weights that are loaded as a checkpoint's are: in any dtype, quantized, one tensor in flight.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use burn::{
    module::{Module, ModuleVisitor, Param},
    prelude::*,
};
use half::{bf16, f16};
use rayon::prelude::*;
use wan_import::{KeyTable, Stored, TensorBytes, TensorInfo, TensorSource};

use crate::random::{Generator, distribution};

/// Values that one task draws.
const PIECE: usize = 1 << 16;

/// Nearly normal values for every parameter of a module, of variance one over its fan-in (biases: around zero, norms
/// and other vectors: around one). Nothing is held: a tensor's values are drawn whenever it is asked for, and are the same every time.
#[derive(Debug)]
pub struct RandomWeights {
    path: PathBuf,
    tensors: BTreeMap<String, TensorInfo>,
}

impl RandomWeights {
    /// For the parameters of `module` that `keys` have a name for, in f32, f16 or bf16.
    pub fn of<M: Module>(module: &M, keys: &KeyTable, dtype: &Stored) -> Self {
        let mut shapes = Shapes { keys, dtype, place: Vec::new(), tensors: BTreeMap::new() };
        module.visit(&mut shapes);
        Self { path: PathBuf::from("random weights"), tensors: shapes.tensors }
    }
}

impl TensorSource for RandomWeights {
    fn path(&self) -> &Path {
        &self.path
    }

    fn names(&self) -> Vec<&str> {
        self.tensors.keys().map(String::as_str).collect()
    }

    fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.get(name)
    }

    fn data(&self, name: &str) -> Option<TensorBytes> {
        let info = self.tensors.get(name)?;
        let draw = Draw { distribution: distribution(name, &info.shape), seed: seed(name) };
        let count = info.shape.iter().product();
        Some(TensorBytes::owned(match info.dtype {
            Stored::F16 => draw.bytes(count, |x| f16::from_f32(x).to_le_bytes()),
            Stored::Bf16 => draw.bytes(count, |x| bf16::from_f32(x).to_le_bytes()),
            _ => draw.bytes(count, f32::to_le_bytes),
        }))
    }
}

/// How the values of one tensor are drawn.
struct Draw {
    /// Mean and deviation.
    distribution: (f32, f32),
    seed: u64,
}

impl Draw {
    fn bytes<const N: usize>(&self, count: usize, encode: impl Fn(f32) -> [u8; N] + Sync) -> Vec<u8> {
        let mut bytes = vec![0; count * N];
        bytes.par_chunks_mut(PIECE * N).enumerate().for_each(|(index, piece)| {
            let mut generator = Generator::new(self.seed.wrapping_add(index as u64));
            let (mean, deviation) = self.distribution;
            for value in piece.chunks_exact_mut(N) {
                value.copy_from_slice(&encode(mean + deviation * generator.normal()));
            }
        });
        bytes
    }
}

/// FNV-1a.
fn seed(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// Collects names and shapes.
struct Shapes<'a> {
    keys: &'a KeyTable,
    dtype: &'a Stored,
    /// Names of the modules around, without variants of enums, which are no part of a path.
    place: Vec<Option<String>>,
    tensors: BTreeMap<String, TensorInfo>,
}

impl ModuleVisitor for Shapes<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.place.push((!container_type.starts_with("Enum:")).then(|| name.to_owned()));
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.place.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path: Vec<&str> = self.place.iter().flatten().map(String::as_str).collect();
        let Some(key) = self.keys.file_key(&path.join(".")) else { return };
        let shape = param.lazy_shape().to_vec();
        let bytes = shape.iter().product::<usize>() * self.dtype.size().unwrap_or_default();
        self.tensors.insert(key, TensorInfo { shape, dtype: self.dtype.clone(), bytes });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use wan_import::{DtypePolicy, Naming, load_network};
    use wan_model::{WanConfig, WanTransformer};

    use super::*;

    #[test]
    fn a_transformer_is_filled_whole_and_the_same_every_time() {
        let config = WanConfig {
            dim: 24,
            ffn_dim: 32,
            heads: 2,
            layers: 2,
            text_dim: 8,
            ..WanConfig::lingbot_base_cam()
        };
        let (device, keys) = (Device::flex(), KeyTable::dit(Naming::Official, ""));
        let module = WanTransformer::new(&config, &device);
        let weights = RandomWeights::of(&module, &keys, &Stored::F32);
        let stored: usize = weights.tensors.values().map(|info| info.bytes).sum();
        assert_eq!(stored as u64, 4 * config.parameter_count().unwrap());
        let name = "blocks.1.ffn.0.weight";
        let [first, second] = [(); 2].map(|()| weights.data(name).unwrap().to_vec());
        assert_eq!(first, second);
        let values: Vec<f32> = first.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        let variance = values.iter().map(|x| x * x).sum::<f32>() / values.len() as f32;
        assert!((variance * 24.0 - 1.0).abs() < 0.2, "{variance}");
        load_network(module, "", &weights, &keys, &DtypePolicy::F32, &device).unwrap();
    }
}
