//! Fills a module's parameters by path, without any checkpoint reader.

use burn::{
    module::{Module, ModuleMapper, Param},
    prelude::*,
};

use crate::Golden;

impl Golden {
    /// Replaces every parameter of `module` by the golden tensor `<prefix><module path>`; shapes may differ by unit
    /// dimensions only. Panics if one is missing or one under the prefix is left over.
    pub fn fill<M: Module>(&self, prefix: &str, module: M) -> M {
        let mut filler = Filler { golden: self, prefix, path: Vec::new(), used: 0 };
        let module = module.map(&mut filler);
        assert_eq!(filler.used, self.keys(prefix).count(), "some golden weights were not used");
        module
    }
}

struct Filler<'a> {
    golden: &'a Golden,
    prefix: &'a str,
    path: Vec<String>,
    used: usize,
}

impl Filler<'_> {
    fn names(&self) -> Vec<&str> {
        self.path.iter().map(String::as_str).filter(|name| !name.is_empty()).collect()
    }
}

impl ModuleMapper for Filler<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        // A linear layer's weight goes by one name, however it is held.
        self.path.push(if container == "Enum:Weight" { String::new() } else { name.to_owned() });
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let key = format!("{}{}", self.prefix, self.names().join("."));
        let (stored, values) = self.golden.get(&key);
        let shape = param.lazy_shape();
        let no_ones = |s: &[usize]| s.iter().copied().filter(|&n| n != 1).collect::<Vec<_>>();
        assert_eq!(no_ones(stored), no_ones(&shape.to_vec()), "{key}: shape");
        self.used += 1;
        let data = TensorData::new(values.to_vec(), shape.to_vec());
        let id = param.id;
        let tensor = Tensor::from_data(data, &param.lazy_device());
        param.transform_for_load(tensor, id)
    }
}
