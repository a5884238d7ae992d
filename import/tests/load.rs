//! Modules filled from files: values, dtypes, and everything that must stop a load.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::{Path, PathBuf};

use burn::{
    module::{Module, Param, ParamId},
    prelude::*,
    tensor::{DType, FloatDType},
};
use half::{bf16, f16};
use safetensors::Dtype;
use support::{Named, f32s, write};
use wan_import::{DtypePolicy, ImportError, KeyTable, Naming, TokenTable, load_module, open};
use wan_model::Linear;

fn param<const D: usize>(shape: [usize; D], device: &Device) -> Param<Tensor<D>> {
    let init = move |device: &Device, _: bool| Tensor::zeros(shape, device);
    Param::uninitialized(ParamId::new(), init, device.clone(), false, shape.into())
}

#[derive(Module, Debug)]
struct Norm {
    weight: Param<Tensor<1>>,
}

#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "a box is no module")]
enum Layer {
    Dense(Linear),
    Scale(Norm),
}

/// A linear layer under a list, one under an enum, one that stays in f32, and parameters of other ranks.
#[derive(Module, Debug)]
struct Net {
    blocks: Vec<Layer>,
    head: Linear,
    modulation: Param<Tensor<2>>,
}

impl Net {
    fn new(device: &Device) -> Self {
        let norm = Norm { weight: param([3], device) };
        Self {
            blocks: vec![Layer::Dense(Linear::new(3, 2, device)), Layer::Scale(norm)],
            head: Linear::without_bias(2, 2, device),
            modulation: param([6, 2], device),
        }
    }
}

fn table() -> KeyTable {
    KeyTable::custom(&[("blocks.#.*", "layer.#.*"), ("head.*", "out.*"), ("modulation", "mod")], &["extra.*"])
}

const WEIGHT: [f32; 6] = [0.5, -1.25, 2.0, 3.5, -0.75, 1.0];

fn named(dtype: Dtype, values: &[f32]) -> Vec<u8> {
    match dtype {
        Dtype::F32 => f32s(values),
        Dtype::F64 => values.iter().flat_map(|v| f64::from(*v).to_le_bytes()).collect(),
        Dtype::F16 => values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect(),
        Dtype::BF16 => values.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect(),
        other => panic!("{other:?}"),
    }
}

/// A whole file for [`Net`]; every value is exact in every dtype.
fn tensors(dtype: Dtype) -> Vec<Named<'static>> {
    let modulation: Vec<f32> = (0..12).map(|n| n as f32 / 4.0).collect();
    vec![
        ("layer.0.weight", dtype, vec![2, 3], named(dtype, &WEIGHT)),
        ("layer.0.bias", dtype, vec![2], named(dtype, &[1.0, -2.0])),
        ("layer.1.weight", dtype, vec![3, 1, 1], named(dtype, &[1.0, 2.0, 3.0])),
        ("out.weight", dtype, vec![2, 2], named(dtype, &[1.0, 0.0, 0.5, 1.0])),
        ("mod", dtype, vec![1, 6, 2], named(dtype, &modulation)),
    ]
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("x.safetensors")
    }

    fn load(&self, tensors: &[Named], policy: DtypePolicy, device: &Device) -> Result<Net, ImportError> {
        let file = open(&write(&self.path(), tensors)).unwrap();
        load_module(Net::new(device), &file, &table(), &policy, device)
    }
}

fn values<const D: usize>(tensor: &Param<Tensor<D>>) -> Vec<f32> {
    tensor.val().into_data().convert::<f32>().try_to_vec().unwrap()
}

/// Every parameter of the module, by path, as its dtype and values.
fn parameters(net: &Net) -> Vec<(String, DType, Vec<f32>)> {
    struct Reader(Vec<String>, Vec<(String, DType, Vec<f32>)>);
    impl burn::module::ModuleVisitor for Reader {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.0.push(name.into());
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.0.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.1.push((self.0.join("."), param.val().dtype(), values(param)));
        }
    }
    let mut reader = Reader(Vec::new(), Vec::new());
    net.visit(&mut reader);
    reader.1
}

#[test]
fn every_dtype_loads_on_every_device() {
    let folder = Folder::new();
    for device in testkit::devices() {
        for dtype in [Dtype::F32, Dtype::F64, Dtype::F16, Dtype::BF16] {
            let net = folder.load(&tensors(dtype), DtypePolicy::F32, &device.device).unwrap();
            let found = parameters(&net);
            assert_eq!(found.len(), 5);
            assert!(found.iter().all(|(.., dtype, _)| *dtype == DType::F32));
            assert_eq!(found[0].0, "blocks.0.Dense.weight.Float");
            assert_eq!(found[0].2, WEIGHT, "{} {dtype:?}", device.name);
            assert_eq!(found[1].2, [1.0, -2.0]);
            assert_eq!(found[2].2, [1.0, 2.0, 3.0]);
            assert_eq!(found[4].2[11], 2.75);
        }
    }
}

#[test]
fn only_weights_of_linear_layers_take_the_matmul_dtype() {
    let (folder, device) = (Folder::new(), Device::flex());
    for (matmul, target) in [(FloatDType::F16, DType::F16), (FloatDType::BF16, DType::BF16)] {
        for dtype in [Dtype::F32, Dtype::F16, Dtype::BF16] {
            let net = folder.load(&tensors(dtype), DtypePolicy::float(matmul), &device).unwrap();
            let dtypes: Vec<_> = parameters(&net).into_iter().map(|(.., dtype, _)| dtype).collect();
            assert_eq!(dtypes, [target, DType::F32, DType::F32, target, DType::F32]);
            assert_eq!(parameters(&net)[0].2, WEIGHT);
        }
    }
}

#[derive(Module, Debug)]
struct Heads {
    time_embedding: Inner,
    blocks: Vec<Linear>,
    head: Inner,
}

#[derive(Module, Debug)]
struct Inner {
    head: Linear,
    linear1: Linear,
}

#[test]
fn the_transformer_keeps_its_embeddings_in_f32() {
    let device = Device::flex();
    let inner =
        || Inner { head: Linear::without_bias(1, 2, &device), linear1: Linear::without_bias(1, 2, &device) };
    let net =
        Heads { time_embedding: inner(), blocks: vec![Linear::without_bias(1, 2, &device)], head: inner() };
    let folder = Folder::new();
    let weight = |name| (name, Dtype::F32, vec![2, 1], f32s(&[1.0, 2.0]));
    let names = [
        "time_embedding.0.weight",
        "time_embedding.head.weight",
        "blocks.0.weight",
        "head.head.weight",
        "head.linear1.weight",
    ];
    let mut tensors: Vec<_> = names.into_iter().map(weight).collect();
    let table = KeyTable::dit(Naming::Official, "");
    assert_eq!(table.file_key("time_embedding.head.weight"), None);
    tensors.remove(1);
    let file = open(&write(&folder.path(), &tensors)).unwrap();
    let policy = DtypePolicy::float(FloatDType::F16);
    let error = load_module(net, &file, &table, &policy, &device).unwrap_err();
    assert!(error.to_string().contains("time_embedding.head.weight"), "{error}");
    for (path, high) in [
        ("time_embedding.linear1.weight", true),
        ("head.head.weight", true),
        ("blocks.0.head.weight", false),
        ("header.weight", false),
    ] {
        assert_eq!(table.keeps_high(path), high, "{path}");
    }
}

#[test]
fn a_file_must_fit_exactly() {
    let (folder, device) = (Folder::new(), Device::flex());
    let load = |tensors: &[Named]| folder.load(tensors, DtypePolicy::F32, &device).unwrap_err();
    let whole = tensors(Dtype::F32);
    let error = load(&whole[1..]);
    assert!(
        matches!(&error, ImportError::MissingTensors { count: 1, first, .. } if first == &["layer.0.weight"]),
        "{error}"
    );
    let mut wrong = whole.clone();
    wrong[0].2 = vec![3, 2];
    assert!(matches!(load(&wrong), ImportError::Shape { key, expected, found, .. }
        if key == "layer.0.weight" && expected == [2, 3] && found == [3, 2]));
    let names: Vec<_> = (0..7).map(|n| format!("other.{n}")).collect();
    let mut more = whole.clone();
    more.push(("extra.1", Dtype::F32, vec![1], f32s(&[1.0])));
    assert!(folder.load(&more, DtypePolicy::F32, &device).is_ok());
    more.extend(names.iter().map(|name| (name.as_str(), Dtype::F32, vec![1], f32s(&[1.0]))));
    assert!(matches!(load(&more), ImportError::UnusedTensors { count: 7, first, .. } if first.len() == 5));
}

#[test]
fn values_that_are_not_finite_are_refused() {
    let folder = Folder::new();
    for device in testkit::devices() {
        for (dtype, policy) in [
            (Dtype::F32, FloatDType::F32),
            (Dtype::BF16, FloatDType::F32),
            (Dtype::F16, FloatDType::F32),
            (Dtype::F64, FloatDType::F32),
            (Dtype::F16, FloatDType::F16),
        ] {
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut tensors = tensors(dtype);
                tensors[0].3 = named(dtype, &[0.0, 1.0, bad, 0.0, 1.0, 2.0]);
                let error = folder.load(&tensors, DtypePolicy::float(policy), &device.device).unwrap_err();
                assert!(
                    matches!(&error, ImportError::NonFinite { key, .. } if key == "layer.0.weight"),
                    "{error}"
                );
            }
        }
    }
}

#[test]
fn what_f16_cannot_hold_is_refused_with_the_way_out() {
    let (folder, device) = (Folder::new(), Device::flex());
    let mut tensors = tensors(Dtype::BF16);
    tensors[0].3 = named(Dtype::BF16, &[0.0, 1.0, 70000.0, 0.0, 1.0, 2.0]);
    let error = folder.load(&tensors, DtypePolicy::float(FloatDType::F16), &device).unwrap_err();
    assert!(matches!(&error, ImportError::Overflow { key, .. } if key == "layer.0.weight"));
    assert_eq!(error.hint().unwrap(), "run with --dtype f32");
    assert!(folder.load(&tensors, DtypePolicy::float(FloatDType::BF16), &device).is_ok());
    tensors[1] = ("layer.0.bias", Dtype::F64, vec![2], [1e300f64, 0.0].map(f64::to_le_bytes).concat());
    let error = folder.load(&tensors, DtypePolicy::F32, &device).unwrap_err();
    assert!(matches!(&error, ImportError::Overflow { target: "F32", .. }), "{error}");
}

#[test]
fn dtypes_that_are_not_read_are_named() {
    let folder = Folder::new();
    let mut tensors = tensors(Dtype::F32);
    tensors[0] = ("layer.0.weight", Dtype::F8_E4M3, vec![2, 3], vec![0; 6]);
    let error = folder.load(&tensors, DtypePolicy::F32, &Device::flex()).unwrap_err();
    assert!(error.to_string().contains("F8_E4M3") && error.hint().is_some(), "{error}");
}

/// Bytes of tensors at an odd offset cannot be borrowed as floats.
#[test]
fn unaligned_files_load_the_same() {
    let folder = Folder::new();
    let mut header = "{".to_owned();
    let (mut at, mut data) = (1, vec![7u8]);
    for (name, _, shape, bytes) in tensors(Dtype::F32) {
        header += &format!(
            r#""{name}":{{"dtype":"F32","shape":{shape:?},"data_offsets":[{at},{}]}},"#,
            at + bytes.len()
        );
        at += bytes.len();
        data.extend(bytes);
    }
    header += r#""extra.pad":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#;
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    std::fs::write(folder.path(), support::raw(&header, &data)).unwrap();
    for device in testkit::devices() {
        let file = open(&folder.path()).unwrap();
        let net = load_module(Net::new(&device.device), &file, &table(), &DtypePolicy::F32, &device.device)
            .unwrap();
        assert_eq!(parameters(&net)[0].2, WEIGHT, "{}", device.name);
    }
}

/// A borrowed tensor keeps the map alive, gives the same results as a copy, and is not written through.
#[test]
fn borrowed_tensors_outlive_the_source() {
    let folder = Folder::new();
    let device = Device::flex();
    let net = folder.load(&tensors(Dtype::F32), DtypePolicy::F32, &device).unwrap();
    let before = std::fs::read(folder.path()).unwrap();
    let Layer::Dense(dense) = &net.blocks[0] else { panic!("the first layer is dense") };
    let x = Tensor::<3>::from_data([[[1.0, 2.0, 3.0]]], &device);
    let y: Vec<f32> = dense.forward(x).into_data().try_to_vec().unwrap();
    assert_eq!(y, [0.5 - 2.5 + 6.0 + 1.0, 3.5 - 1.5 + 3.0 - 2.0]);
    let doubled = net.map(&mut Doubler);
    assert_eq!(parameters(&doubled)[0].2, WEIGHT.map(|v| 2.0 * v));
    assert_eq!(std::fs::read(folder.path()).unwrap(), before);
}

struct Doubler;

impl burn::module::ModuleMapper for Doubler {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| tensor.mul_scalar(2.0))
    }
}

fn token_source(path: &Path, dtype: Dtype, values: &[f32]) -> std::sync::Arc<dyn wan_import::TensorSource> {
    let tensors = [("token_embedding.weight", dtype, vec![3, 2], named(dtype, values))];
    std::sync::Arc::new(open(&write(path, &tensors)).unwrap())
}

#[test]
fn token_rows_are_gathered_and_checked() {
    let folder = Folder::new();
    for dtype in [Dtype::F32, Dtype::BF16, Dtype::F16, Dtype::F64] {
        let source = token_source(&folder.path(), dtype, &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        let table = TokenTable::new(&source, Naming::Official).unwrap();
        assert_eq!((table.vocab(), table.width()), (3, 2));
        assert_eq!(table.rows(&[2, 0, 2]).unwrap(), [4.0, 5.0, 0.0, 1.0, 4.0, 5.0]);
        assert!(table.rows(&[]).unwrap().is_empty());
        assert!(matches!(table.rows(&[0, 3]), Err(ImportError::TokenId { id: 3, vocab: 3 })));
        assert!(TokenTable::new(&source, Naming::Diffusers).is_err());
    }
    let source = token_source(&folder.path(), Dtype::F32, &[0.0, f32::NAN, 2.0, 3.0, 4.0, 5.0]);
    let table = TokenTable::new(&source, Naming::Official).unwrap();
    assert!(table.rows(&[1]).is_ok());
    assert!(matches!(table.rows(&[0]), Err(ImportError::NonFinite { .. })));
}
