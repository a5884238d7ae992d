//! Fills a module's lazy parameters from a file, one tensor in flight.

use std::collections::{BTreeMap, HashSet};

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    prelude::*,
    tensor::{DType, FloatDType},
};

use wan_model::LargeLinears;

use crate::{
    ImportError, KeyTable, Quant, Stored, TensorSource,
    convert::{self, Fault},
    packed::Packed,
    quant,
};

/// Keys that an error lists before it only counts.
const LISTED: usize = 5;

/// Which dtype a parameter gets.
#[derive(Clone, Copy, Debug)]
pub struct DtypePolicy {
    /// Weights of linear layers, except those that the key table keeps in f32. Everything else is f32. F32, F16 and
    /// BF16 are possible.
    pub matmul: FloatDType,
    /// In how many bits the large linear layers are held instead, where they are not quantized already.
    pub quant: Option<Quant>,
    /// Whether quantized layers have scales in f16, which the device they are for must have.
    pub half_scales: bool,
    /// Whether pages of the file that a module on the host borrows are given back once they were checked, to be read
    /// again when they are used.
    pub streamed: bool,
}

impl DtypePolicy {
    /// Everything in f32.
    pub const F32: Self = Self::float(FloatDType::F32);

    /// Nothing quantized.
    pub const fn float(matmul: FloatDType) -> Self {
        Self { matmul, quant: None, half_scales: false, streamed: false }
    }

    fn dtype(&self, place: &Place, path: &str, keys: &KeyTable) -> FloatDType {
        if place.is_linear_weight() && !keys.keeps_high(path) { self.matmul } else { FloatDType::F32 }
    }
}

/// Fills every parameter of `module` on `device`. Shapes, missing and leftover tensors are checked before the first
/// byte is read; then each tensor is converted on its own, and its file pages are given back. On the host, a tensor
/// whose dtype and alignment already fit borrows the map instead.
///
/// # Errors
/// [`ImportError::MissingTensors`], [`ImportError::UnusedTensors`], [`ImportError::Shape`] (unit dimensions aside),
/// [`ImportError::Dtype`], [`ImportError::NonFinite`] and [`ImportError::Overflow`].
pub fn load_module<M: Module>(
    module: M,
    source: &dyn TensorSource,
    keys: &KeyTable,
    policy: &DtypePolicy,
    device: &Device,
) -> Result<M, ImportError> {
    load_part(module, "", source, keys, policy, device)
}

/// [`load_module`] for a network whose large linear layers are held in fewer bits if the policy says so, or if the file
/// holds them so: as they lie there then, whatever the policy says.
///
/// # Errors
/// As [`load_module`].
pub fn load_network<M: Module + LargeLinears>(
    mut module: M,
    at: &str,
    source: &dyn TensorSource,
    keys: &KeyTable,
    policy: &DtypePolicy,
    device: &Device,
) -> Result<M, ImportError> {
    let plan = Planner::checked(&module, at, source, keys, policy)?;
    let dtype = DType::from(policy.matmul);
    let mut result = Ok(());
    module.large_linears(at, &mut |path, linear| {
        let Some(wanted) = plan.wanted.get(&format!("{path}.weight")).filter(|_| result.is_ok()) else {
            return;
        };
        match quant::matrix(&wanted.key, &wanted.shape, policy, source, device) {
            Ok(Some(matrix)) => linear.quantize(matrix, dtype),
            Ok(None) => {}
            Err(error) => result = Err(error),
        }
    });
    result?;
    fill(module, at, plan, source, device)
}

/// Everything [`load_module`] checks before it reads values.
pub(crate) fn check_module<M: Module>(
    module: &M,
    source: &dyn TensorSource,
    keys: &KeyTable,
) -> Result<(), ImportError> {
    Planner::checked(module, "", source, keys, &DtypePolicy::F32).map(drop)
}

/// Fills `module`, which stands at the module path `at` of a larger one, of which the source may hold more; at the empty
/// path it is the whole network.
pub(crate) fn load_part<M: Module>(
    module: M,
    at: &str,
    source: &dyn TensorSource,
    keys: &KeyTable,
    policy: &DtypePolicy,
    device: &Device,
) -> Result<M, ImportError> {
    let plan = Planner::checked(&module, at, source, keys, policy)?;
    fill(module, at, plan, source, device)
}

fn fill<M: Module>(
    module: M,
    at: &str,
    plan: Planner<'_>,
    source: &dyn TensorSource,
    device: &Device,
) -> Result<M, ImportError> {
    let keep = *device == Device::flex() && !plan.policy.streamed;
    let mut loader = Loader { source, plan: plan.wanted, place: Place::at(at), device, keep, error: None };
    let module = module.map(&mut loader);
    loader.error.map_or(Ok(module), Err)
}

/// Where in the module a walk is.
#[derive(Default)]
struct Place(Vec<(String, String)>);

impl Place {
    fn at(path: &str) -> Self {
        let segments = path.split('.').filter(|name| !name.is_empty());
        Self(segments.map(|name| (name.to_owned(), String::new())).collect())
    }

    fn enter(&mut self, name: &str, container: &str) {
        self.0.push((name.to_owned(), container.to_owned()));
    }

    fn exit(&mut self) {
        self.0.pop();
    }

    /// The path of a parameter. The variant of an enum is not part of it: which one it is shows in the parameters.
    fn path(&self) -> String {
        let named = self.0.iter().filter(|(_, container)| !container.starts_with("Enum:"));
        named.map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(".")
    }

    fn is_linear_weight(&self) -> bool {
        let last = self.0.iter().rfind(|(_, container)| !container.starts_with("Enum:"));
        last.is_some_and(|(name, container)| name == "weight" && container == "Struct:Linear")
    }
}

/// One parameter's tensor.
pub(crate) struct Wanted {
    pub(crate) key: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) dtype: FloatDType,
}

/// Collects what the module needs, by module path.
pub(crate) struct Planner<'a> {
    keys: &'a KeyTable,
    policy: &'a DtypePolicy,
    place: Place,
    pub(crate) wanted: BTreeMap<String, Wanted>,
    /// Paths that the table has no key for.
    unknown: Vec<String>,
}

impl ModuleVisitor for Planner<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.place.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.place.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.place.path();
        let Some(key) = self.keys.file_key(&path) else { return self.unknown.push(path) };
        let dtype = self.policy.dtype(&self.place, &path, self.keys);
        self.wanted.insert(path, Wanted { key, shape: param.lazy_shape().to_vec(), dtype });
    }
}

impl<'a> Planner<'a> {
    /// What `module` at the path `at` needs, all of which `source` has; and nothing else, if the path is empty and the
    /// module so the whole network.
    pub(crate) fn checked<M: Module>(
        module: &M,
        at: &str,
        source: &dyn TensorSource,
        keys: &'a KeyTable,
        policy: &'a DtypePolicy,
    ) -> Result<Self, ImportError> {
        let plan = Self::of(module, at, keys, policy);
        plan.check(source)?;
        if at.is_empty() {
            plan.refuse_unused(source)?;
        }
        Ok(plan)
    }

    pub(crate) fn of<M: Module>(module: &M, at: &str, keys: &'a KeyTable, policy: &'a DtypePolicy) -> Self {
        let mut plan =
            Self { keys, policy, place: Place::at(at), wanted: BTreeMap::new(), unknown: Vec::new() };
        module.visit(&mut plan);
        plan
    }

    fn check(&self, source: &dyn TensorSource) -> Result<(), ImportError> {
        let path = || source.path().to_owned();
        let absent = self.wanted.values().filter(|w| source.info(&w.key).is_none()).map(|w| w.key.as_str());
        let missing: Vec<_> = self.unknown.iter().map(String::as_str).chain(absent).collect();
        if !missing.is_empty() {
            let (count, first) = listed(&missing);
            return Err(ImportError::MissingTensors { path: path(), count, first });
        }
        self.wanted.values().try_for_each(|wanted| check_tensor(wanted, source))
    }

    fn refuse_unused(&self, source: &dyn TensorSource) -> Result<(), ImportError> {
        let used: HashSet<_> = self.wanted.values().map(|w| w.key.as_str()).collect();
        let unused: Vec<_> =
            source.names().into_iter().filter(|n| !used.contains(n) && !self.keys.allows_unused(n)).collect();
        if unused.is_empty() {
            return Ok(());
        }
        let (count, first) = listed(&unused);
        Err(ImportError::UnusedTensors { path: source.path().to_owned(), count, first })
    }
}

fn listed(keys: &[&str]) -> (usize, Vec<String>) {
    (keys.len(), keys.iter().take(LISTED).map(|&key| key.to_owned()).collect())
}

fn check_tensor(wanted: &Wanted, source: &dyn TensorSource) -> Result<(), ImportError> {
    let Some(info) = source.info(&wanted.key) else { return Ok(()) };
    let (path, key) = (source.path().to_owned(), wanted.key.clone());
    let no_ones = |shape: &[usize]| shape.iter().copied().filter(|&n| n != 1).collect::<Vec<_>>();
    if no_ones(&info.shape) != no_ones(&wanted.shape) {
        let (expected, found) = (wanted.shape.clone(), info.shape.clone());
        return Err(ImportError::Shape { path, key, expected, found });
    }
    if matches!(info.dtype, Stored::Other(_)) {
        return Err(ImportError::Dtype { path, key, dtype: info.dtype.to_string() });
    }
    Ok(())
}

/// Replaces each parameter by its tensor; after the first error the rest stay as they are.
struct Loader<'a> {
    source: &'a dyn TensorSource,
    plan: BTreeMap<String, Wanted>,
    place: Place,
    device: &'a Device,
    /// Whether borrowed pages stay resident.
    keep: bool,
    error: Option<ImportError>,
}

impl ModuleMapper for Loader<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.place.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.place.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.error.is_some() {
            return param;
        }
        match self.tensor::<D>() {
            Ok(Some(tensor)) => {
                let id = param.id;
                param.transform_for_load(tensor, id)
            }
            Ok(None) => param,
            Err(error) => {
                self.error = Some(error);
                param
            }
        }
    }
}

impl Loader<'_> {
    fn tensor<const D: usize>(&self) -> Result<Option<Tensor<D>>, ImportError> {
        let Some(wanted) = self.plan.get(&self.place.path()) else { return Ok(None) };
        if let Some(packed) = self.source.packed(&wanted.key) {
            return self.dequantized(packed, wanted).map(Some);
        }
        let found = self.source.info(&wanted.key).zip(self.source.data(&wanted.key));
        let Some((info, bytes)) = found else { return Ok(None) };
        let converted = convert::tensor_data(&bytes, &info.dtype, wanted.dtype, wanted.shape.clone());
        let (data, borrowed) = converted.map_err(|fault| self.fault(fault, wanted))?;
        let tensor = Tensor::from_data(data, (self.device, DType::from(wanted.dtype)));
        // On the host a borrowed tensor reads these very pages.
        if !borrowed || !self.keep {
            bytes.release();
        }
        Ok(Some(tensor))
    }

    /// A weight that its layer holds in floats.
    fn dequantized<const D: usize>(
        &self,
        packed: &Packed,
        wanted: &Wanted,
    ) -> Result<Tensor<D>, ImportError> {
        let data = packed.dequantize().and_then(|values| {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            convert::copied(&bytes, &Stored::F32, wanted.dtype, wanted.shape.clone())
        });
        packed.release();
        let data = data.map_err(|fault| self.fault(fault, wanted))?;
        Ok(Tensor::from_data(data, (self.device, DType::from(wanted.dtype))))
    }

    fn fault(&self, fault: Fault, wanted: &Wanted) -> ImportError {
        fault.of(self.source.path(), &wanted.key, convert::target_name(wanted.dtype))
    }
}
