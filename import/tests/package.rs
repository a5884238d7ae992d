//! Packages: equal to quantizing while loading, small enough, resumed, and checked.
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    collections::BTreeMap,
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use burn::{
    module::{Module, ModuleVisitor, Param},
    prelude::*,
    tensor::FloatDType,
};
use half::bf16;
use safetensors::{Dtype, SafeTensors};
use support::{
    Named, Shapes, f32s,
    model::{Model, WEIGHTS, shrunk},
    presets, wan,
};
use testkit::normal;
use wan_import::{
    Checkpoint, Component, Conversion, Converted, DtypePolicy, Fingerprint, ImportError, Layout, Made,
    Naming::{self, Diffusers, Official},
    PackagePlan, Part, Quant, Source, Stored, TensorSource, load_network, planned_bytes, verify_package,
};
use wan_model::{LargeLinears, Linear, ModelKind, WanConfig, text::Umt5Block};

const QUANTS: [Quant; 2] = [Quant::Int8, Quant::Nf4];
/// Relative L2 of normal values.
const ERRORS: [std::ops::Range<f64>; 2] = [4e-3..8e-3, 6e-2..0.1];

fn t2v() -> WanConfig {
    WanConfig { dim: 256, ffn_dim: 512, heads: 2, layers: 2, ..WanConfig::t2v_1_3b() }
}

fn i2v() -> WanConfig {
    WanConfig { kind: ModelKind::I2v, in_dim: 36, ..t2v() }
}

/// A file of random values.
fn random(path: &Path, shapes: &Shapes, dtype: Dtype, seed: u64) {
    let tensors: Vec<Named> = shapes
        .0
        .iter()
        .enumerate()
        .map(|(at, (name, info))| {
            let count = info.shape.iter().product();
            let values: Vec<f32> = normal(seed + at as u64, count).iter().map(|x| x * 0.1).collect();
            let bytes = match dtype {
                Dtype::BF16 => values.iter().flat_map(|&x| bf16::from_f32(x).to_le_bytes()).collect(),
                _ => f32s(&values),
            };
            (name.as_str(), dtype, info.shape.clone(), bytes)
        })
        .collect();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    support::write(path, &tensors);
}

fn dit(config: &WanConfig, naming: Naming) -> Shapes {
    presets::shapes(config, naming).resized(|n| if n == 4096 { 128 } else { n })
}

fn diffusers() -> Model {
    let model = Model::diffusers();
    random(&model.at(&format!("transformer/{WEIGHTS}")), &dit(&t2v(), Diffusers), Dtype::F32, 100);
    random(&model.at("text_encoder/model.safetensors"), &shrunk(wan::umt5(Diffusers), 32), Dtype::F32, 900);
    model.text("transformer/config.json", r#"{"num_attention_heads":2,"eps":1e-5}"#);
    model.text("scheduler/scheduler_config.json", r#"{"flow_shift":3.0}"#);
    model.text("model_index.json", r#"{"boundary_ratio":0.9}"#);
    model
}

/// Two transformers, in half the precision.
fn official() -> Model {
    let model = Model::official();
    for (seed, name) in [(300, "high_noise_model"), (500, "low_noise_model")] {
        random(&model.at(&format!("{name}/{WEIGHTS}")), &dit(&i2v(), Official), Dtype::BF16, seed);
        model.text(&format!("{name}/config.json"), r#"{"_class_name":"WanModel","num_heads":2}"#);
    }
    random(&model.at("models_t5_toy.safetensors"), &shrunk(wan::umt5(Official), 32), Dtype::BF16, 900);
    model
}

fn quantized(quant: Quant) -> Conversion {
    Conversion { quant: Some(quant), ..Conversion::default() }
}

fn root(model: &Model) -> PathBuf {
    model.source().model.unwrap()
}

fn plan(model: &Model, conversion: &Conversion) -> PackagePlan {
    PackagePlan::new(&model.open().unwrap(), &root(model), conversion).unwrap()
}

fn make(model: &Model, conversion: &Conversion, target: &Path) -> Result<Made, ImportError> {
    plan(model, conversion).make(target, &mut |_| ControlFlow::Continue(()))
}

fn open(target: &Path) -> Result<Checkpoint, ImportError> {
    Checkpoint::open(&Source { model: Some(target.to_owned()), ..Source::default() })
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

/// Every float of a module, and what its large layers make of some rows.
fn contents<M: Module + LargeLinears>(mut module: M) -> Vec<Vec<f32>> {
    struct Reader(Vec<Vec<f32>>);
    impl ModuleVisitor for Reader {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.push(values(param.val()));
        }
    }
    let mut reader = Reader(Vec::new());
    module.visit(&mut reader);
    module.large_linears("", &mut |_, linear: &mut Linear| {
        let x = testkit::tensor::<3>(7, [1, 3, linear.shape()[1]], &Device::flex());
        reader.0.push(values(linear.forward(x)));
    });
    reader.0
}

/// Bytes of every tensor.
fn bytes(source: &dyn TensorSource) -> BTreeMap<String, Vec<u8>> {
    source.names().into_iter().map(|name| (name.to_owned(), source.data(name).unwrap().to_vec())).collect()
}

fn assert_equal(source: &Checkpoint, package: &Checkpoint, quant: Quant) {
    let device = Device::flex();
    let policy = DtypePolicy { quant: Some(quant), ..DtypePolicy::F32 };
    for high in [false, true] {
        assert_eq!(package.expert(high).quant(), Some(quant));
        let fly = source.load_expert(high, &policy, &device).unwrap();
        let held = package.load_expert(high, &DtypePolicy::F32, &device).unwrap();
        assert!(contents(fly) == contents(held), "{quant:?}, high: {high}");
    }
    let layers = package.text_layers(&device).unwrap();
    let encoder = &source.text_encoder;
    let block = Umt5Block::new(&source.text_config, &device);
    let keys = encoder.umt5_keys();
    let fly = load_network(block, "blocks.1", &*encoder.source, &keys, &policy, &device).unwrap();
    assert!(contents(fly) == contents(layers.block(1).unwrap()), "{quant:?}: text encoder");
    let rows =
        |checkpoint: &Checkpoint| checkpoint.text_encoder.token_table().unwrap().rows(&[0, 77]).unwrap();
    assert_eq!(rows(source), rows(package));
    assert_eq!(bytes(&*source.vae.source), bytes(&*package.vae.source));
}

#[test]
fn a_package_is_what_quantizing_while_loading_gives() {
    for (model, layout) in [(diffusers(), Layout::Diffusers), (official(), Layout::Official)] {
        let source = model.open().unwrap();
        for quant in QUANTS {
            let folder = tempfile::tempdir().unwrap();
            let made = make(&model, &quantized(quant), folder.path()).unwrap();
            let package = open(folder.path()).unwrap();
            assert_eq!(package.layout, layout);
            assert_eq!(package.dit_config, source.dit_config);
            assert_eq!(package.pipeline, source.pipeline);
            assert_eq!(package.scheduler, source.scheduler);
            assert_eq!(package.dit_high.is_some(), source.dit_high.is_some());
            assert_equal(&source, &package, quant);
            assert_eq!(
                made.bytes,
                files(folder.path()).values().map(|file| file.len() as u64).sum::<u64>()
                    - manifest(folder.path())
            );
            verify_package(folder.path(), &mut |_, _| ControlFlow::Continue(())).unwrap();
        }
    }
}

#[test]
fn files_follow_the_format_and_are_aligned() {
    let (model, folder) = (official(), tempfile::tempdir().unwrap());
    make(&model, &quantized(Quant::Nf4), folder.path()).unwrap();
    let file = fs::read(folder.path().join(format!("transformer/{WEIGHTS}"))).unwrap();
    let (header, metadata) = SafeTensors::read_metadata(&file).unwrap();
    assert_eq!(metadata.metadata().as_ref().unwrap()["format"], "pt");
    assert_eq!((header + 8) % 64, 0);
    let tensors = SafeTensors::deserialize(&file).unwrap();
    assert!(tensors.names().contains(&"blocks.0.self_attn.q.weight.quant_state.bitsandbytes__nf4"));
    for (name, view) in tensors.iter() {
        let at = view.data().as_ptr() as usize - file.as_ptr() as usize;
        let round = 1 << view.data().len().trailing_zeros().min(6);
        assert_eq!(at % round, 0, "{name}");
    }
}

#[test]
fn without_quantization_only_small_tensors_change() {
    let (model, folder) = (official(), tempfile::tempdir().unwrap());
    make(&model, &Conversion::default(), folder.path()).unwrap();
    let package = open(folder.path()).unwrap();
    let dtype = |key: &str| package.dit.source.info(key).unwrap().dtype.clone();
    assert_eq!(dtype("blocks.0.self_attn.q.weight"), Stored::Bf16);
    assert_eq!(dtype("blocks.0.self_attn.q.bias"), Stored::F32);
    assert_eq!(dtype("blocks.0.modulation"), Stored::F32);
    let folder = tempfile::tempdir().unwrap();
    let half =
        Conversion { dtype: Some(FloatDType::F16), only: vec![Part::Transformer], ..Conversion::default() };
    make(&model, &half, folder.path()).unwrap();
    let dit = Component::open(&folder.path().join("transformer_2")).unwrap();
    assert_eq!(dit.source.info("blocks.0.self_attn.q.weight").unwrap().dtype, Stored::F16);
    assert!(matches!(open(folder.path()), Err(ImportError::MissingComponent { .. })));
}

/// Wide enough for layers outside of the blocks to be large.
#[test]
fn large_embeddings_are_in_eight_bits_and_floats_once_loaded() {
    let (model, folder) = (diffusers(), tempfile::tempdir().unwrap());
    let config = WanConfig { dim: 1024, ffn_dim: 64, heads: 8, layers: 1, ..WanConfig::t2v_1_3b() };
    random(&model.at(&format!("transformer/{WEIGHTS}")), &dit(&config, Diffusers), Dtype::F32, 100);
    model.text("transformer/config.json", r#"{"num_attention_heads":8}"#);
    make(&model, &quantized(Quant::Nf4), folder.path()).unwrap();
    let package = open(folder.path()).unwrap();
    let dtype = |key: &str| package.dit.source.info(key).unwrap().dtype.clone();
    let embedder = |part: &str| dtype(&format!("condition_embedder.{part}.weight"));
    assert_eq!(embedder("text_embedder.linear_2"), Stored::Quantized(Quant::Int8));
    assert_eq!(embedder("text_embedder.linear_1"), Stored::F32, "it is small here");
    assert_eq!((embedder("time_proj"), embedder("time_embedder.linear_2")), (Stored::F32, Stored::F32));
    assert_eq!(package.dit.quant(), Some(Quant::Nf4));
    let policy = DtypePolicy { quant: Some(Quant::Nf4), ..DtypePolicy::F32 };
    let device = Device::flex();
    let fly = contents(model.open().unwrap().load_transformer(&policy, &device).unwrap());
    let held = contents(package.load_transformer(&DtypePolicy::F32, &device).unwrap());
    let off: Vec<_> = fly.iter().zip(&held).filter(|(fly, held)| fly != held).collect();
    assert_eq!((fly.len(), off.len()), (held.len(), 1));
    assert!(ERRORS[0].contains(&testkit::relative_l2(&off[0].1[..], &off[0].0[..])));
}

/// The whole of an 18.5 B expert, by its key list.
#[test]
fn an_expert_of_lingbot_takes_what_is_promised() {
    let mut shapes = presets::shapes(&WanConfig::lingbot_base_cam(), Official);
    for info in shapes.0.values_mut() {
        (info.dtype, info.bytes) = (Stored::Bf16, info.bytes / 2);
    }
    let fingerprint = Fingerprint::of(&shapes).unwrap();
    let dit = Component { source: Arc::new(shapes), config: None, fingerprint };
    let [int8, nf4] = QUANTS.map(|quant| planned_bytes(&dit, &quantized(quant)).unwrap());
    assert!((18_000_000_000..=19_000_000_000).contains(&int8), "int8: {int8}");
    assert!((9_000_000_000..=10_000_000_000).contains(&nf4), "nf4: {nf4}");
}

#[test]
fn a_report_says_how_far_each_weight_is_off() {
    let model = diffusers();
    for (quant, expected) in QUANTS.into_iter().zip(ERRORS) {
        let folder = tempfile::tempdir().unwrap();
        let conversion = Conversion { report: true, ..quantized(quant) };
        let made = make(&model, &conversion, folder.path()).unwrap();
        let dit: Vec<_> = made.errors.iter().filter(|weight| weight.component == "transformer").collect();
        assert_eq!(dit.len(), 2 * 10);
        assert!(made.errors.iter().all(|weight| expected.contains(&weight.error)), "{:?}", made.errors);
    }
}

/// Bytes of the file that names the others.
fn manifest(folder: &Path) -> u64 {
    fs::metadata(folder.join("wan_package.json")).unwrap().len()
}

/// Names and contents of all files.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else {
                found.insert(entry.strip_prefix(folder).unwrap().to_owned(), fs::read(&entry).unwrap());
            }
        }
    }
    found
}

/// Ends the work after so many events.
fn broken(model: &Model, target: &Path, events: usize) {
    let mut left = events;
    let result = plan(model, &quantized(Quant::Nf4)).make(target, &mut |_| {
        left -= 1;
        if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(matches!(result, Err(ImportError::Interrupted)), "{result:?}");
}

#[test]
fn an_interrupted_package_is_refused_and_completed() {
    let (model, whole) = (official(), tempfile::tempdir().unwrap());
    make(&model, &quantized(Quant::Nf4), whole.path()).unwrap();
    for events in [1, 40, 90, 130] {
        let folder = tempfile::tempdir().unwrap();
        broken(&model, folder.path(), events);
        let left = files(folder.path());
        assert!(
            !left.keys().any(|name| name.extension().is_some_and(|e| e == "partial")),
            "{:?}",
            left.keys()
        );
        let error = open(folder.path()).unwrap_err();
        assert!(error.to_string().contains("unfinished"), "{error}");
        assert!(error.hint().unwrap().contains("same `wan convert`"));
        // What a killed process leaves, and a finished file that something has cut since.
        fs::create_dir_all(folder.path().join("transformer_2")).unwrap();
        fs::write(folder.path().join(format!("transformer_2/{WEIGHTS}.partial")), b"half").unwrap();
        if events == 90 {
            fs::write(folder.path().join(format!("transformer/{WEIGHTS}")), b"cut").unwrap();
        }
        let other = make(&model, &quantized(Quant::Int8), folder.path()).unwrap_err();
        assert!(other.to_string().contains("other settings"), "{other}");
        let mut kept = 0;
        let resumed = plan(&model, &quantized(Quant::Nf4)).make(folder.path(), &mut |event| {
            kept += usize::from(matches!(event, Converted::File { before: true, .. }));
            ControlFlow::Continue(())
        });
        resumed.unwrap();
        assert!(kept > 0 || events < 130, "{events} events: {kept} files kept");
        assert!(files(folder.path()) == files(whole.path()), "{events} events");
    }
}

fn refused(folder: &Path, words: &str) {
    let error = open(folder).unwrap_err();
    assert!(matches!(error, ImportError::Package { .. }) && error.to_string().contains(words), "{error}");
}

#[test]
fn damage_is_found() {
    let (model, folder) = (diffusers(), tempfile::tempdir().unwrap());
    make(&model, &quantized(Quant::Nf4), folder.path()).unwrap();
    let (path, manifest) =
        (folder.path().join(format!("transformer/{WEIGHTS}")), folder.path().join("wan_package.json"));
    let good = fs::read(&path).unwrap();
    let mut bad = good.clone();
    let last = bad.len() - 1;
    bad[last] ^= 1;
    fs::write(&path, &bad).unwrap();
    open(folder.path()).unwrap();
    let error = verify_package(folder.path(), &mut |_, _| ControlFlow::Continue(())).unwrap_err();
    assert!(error.to_string().contains("checksum") && error.to_string().contains(WEIGHTS), "{error}");
    fs::write(&path, &good[..last]).unwrap();
    refused(folder.path(), &format!("{last} bytes of {}", good.len()));
    fs::remove_file(&path).unwrap();
    refused(folder.path(), "missing");
    fs::write(&path, &good).unwrap();
    let text = fs::read_to_string(&manifest).unwrap();
    for name in ["../x", "/etc/passwd", "a//b", "a\\\\b", ""] {
        fs::write(&manifest, text.replacen(&format!("transformer/{WEIGHTS}"), name, 1)).unwrap();
        refused(folder.path(), "not the name of a file");
    }
    fs::write(&manifest, text.replacen("\"version\": 1", "\"version\": 2", 1)).unwrap();
    refused(folder.path(), "version 2");
    fs::write(&manifest, "{}").unwrap();
    assert!(matches!(open(folder.path()), Err(ImportError::Config { .. })));
}

#[test]
fn folders_with_other_things_are_left_alone() {
    let (model, folder) = (diffusers(), tempfile::tempdir().unwrap());
    fs::write(folder.path().join("mine"), b"kept").unwrap();
    let error = make(&model, &quantized(Quant::Nf4), folder.path()).unwrap_err();
    assert!(error.to_string().contains("not empty"), "{error}");
    assert_eq!(files(folder.path()).len(), 1);
    let target = folder.path().join("new/package");
    make(&model, &quantized(Quant::Nf4), &target).unwrap();
    let error = make(&model, &quantized(Quant::Nf4), &target).unwrap_err();
    assert!(error.to_string().contains("a package already"), "{error}");
    let error = PackagePlan::new(&open(&target).unwrap(), &target, &quantized(Quant::Int8)).unwrap_err();
    assert!(error.to_string().contains("quantized already"), "{error}");
}
