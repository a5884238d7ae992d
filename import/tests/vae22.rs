//! Wan 2.2's autoencoder from its key lists to its modules, and run against diffusers.
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use burn::{
    module::{Module, ModuleVisitor, Param},
    prelude::*,
};
use safetensors::Dtype;
use support::{Named, Shapes, f32s, vae22};
use testkit::{Golden, Tolerance, assert_close, devices};
use wan_import::{
    Component, DtypePolicy, Fingerprint, ImportError, KeyTable,
    Naming::{self, Diffusers, Official},
    TensorSource, load_module,
};
use wan_model::{VaeConfig, VaeDecoder, VaeEncoder};

fn component(shapes: Shapes, config: Option<&str>) -> Component {
    let fingerprint = Fingerprint::of(&shapes).unwrap();
    let config = config.map(|text| (PathBuf::from("config.json"), serde_json::from_str(text).unwrap()));
    Component { source: Arc::new(shapes), config, fingerprint }
}

fn config_of(shapes: Shapes, config: Option<&str>) -> Result<VaeConfig, ImportError> {
    component(shapes, config).vae_config()
}

/// Shapes of a module's parameters, unit dimensions aside, by path.
#[derive(Default)]
struct Parameters {
    path: Vec<String>,
    shapes: BTreeMap<String, Vec<usize>>,
}

impl Parameters {
    fn of(module: &impl Module) -> BTreeMap<String, Vec<usize>> {
        let mut parameters = Self::default();
        module.visit(&mut parameters);
        parameters.shapes
    }
}

impl ModuleVisitor for Parameters {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.shapes.insert(self.path.join("."), no_ones(&param.lazy_shape().to_vec()));
    }
}

fn no_ones(shape: &[usize]) -> Vec<usize> {
    shape.iter().copied().filter(|&n| n != 1).collect()
}

/// The released sizes: no key missing, none left over, every shape the module's.
#[test]
fn the_preset_is_the_released_network() {
    let (config, device) = (VaeConfig::wan_2_2(), Device::flex());
    let modules = [
        Parameters::of(&VaeEncoder::new(&config, &device)),
        Parameters::of(&VaeDecoder::new(&config, &device)),
    ];
    for naming in [Official, Diffusers] {
        let mut file = vae22::shapes(naming);
        let tables = [
            KeyTable::vae_encoder(naming, (&config).into()),
            KeyTable::vae_decoder(naming, (&config).into()),
        ];
        for (module, table) in modules.iter().zip(tables) {
            for (path, shape) in module {
                let key = table.file_key(path).unwrap_or_else(|| panic!("{path} has no key"));
                let info = file.0.remove(&key).unwrap_or_else(|| panic!("{path}: the file has no {key}"));
                assert_eq!(&no_ones(&info.shape), shape, "{key}");
            }
        }
        assert!(file.0.is_empty(), "{:?}", file.names());
    }
}

#[test]
fn shapes_alone_give_the_released_configuration() {
    for naming in [Official, Diffusers] {
        assert_eq!(config_of(vae22::shapes(naming), None).unwrap(), VaeConfig::wan_2_2());
    }
}

const RELEASED: &str = r#"{"base_dim":160,"decoder_base_dim":256,"z_dim":48,"dim_mult":[1,2,4,4],"num_res_blocks":2,
    "temperal_downsample":[false,true,true],"is_residual":true,"in_channels":12,"out_channels":12,"patch_size":2,
    "scale_factor_spatial":16,"scale_factor_temporal":4}"#;

#[test]
fn the_configuration_beside_it_must_agree() {
    let with = |config: &str| config_of(vae22::shapes(Diffusers), Some(config));
    assert_eq!(with(RELEASED).unwrap(), VaeConfig::wan_2_2());
    for (right, wrong) in [
        ("\"decoder_base_dim\":256", "\"decoder_base_dim\":160"),
        ("\"is_residual\":true", "\"is_residual\":false"),
        ("\"in_channels\":12", "\"in_channels\":3"),
        ("\"patch_size\":2", "\"patch_size\":4"),
        ("\"scale_factor_spatial\":16", "\"scale_factor_spatial\":8"),
    ] {
        let config = RELEASED.replace(right, wrong);
        assert_ne!(config, RELEASED);
        assert!(matches!(with(&config), Err(ImportError::Conflict { .. })), "{wrong}");
    }
    let given = format!(r#"{{"latents_mean":{:?},"latents_std":{:?}}}"#, vec![0.5; 48], vec![2.0; 48]);
    let config = with(&given).unwrap();
    assert_eq!((config.latents_mean[47], config.latents_std[47]), (0.5, 2.0));
    assert!(matches!(with(r#"{"latents_mean":[1.0],"latents_std":[1.0]}"#), Err(ImportError::Config { .. })));
}

#[test]
fn networks_that_cannot_be_are_refused() {
    for (key, shape, said) in [
        ("encoder.conv1.weight", vec![160, 11, 3, 3, 3], "no squares of RGB pixels"),
        ("encoder.conv1.weight", vec![150, 12, 3, 3, 3], "no multiples of 150"),
        ("decoder.conv1.weight", vec![1023, 48, 3, 3, 3], "no multiple of 4"),
        ("conv1.weight", vec![90, 90, 1, 1, 1], "45 latent channels"),
    ] {
        let mut shapes = vae22::shapes(Official);
        shapes.0.get_mut(key).unwrap().shape = shape;
        let error = config_of(shapes, None).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
    let mut deep = vae22::shapes(Official);
    for block in 2..40 {
        deep.0.remove(&format!("encoder.downsamples.0.downsamples.{block}.resample.1.weight"));
        deep.add(format!("encoder.downsamples.0.downsamples.{block}.residual.0.gamma"), &[160, 1, 1, 1]);
    }
    let error = config_of(deep, None).unwrap_err().to_string();
    assert!(error.contains("residual blocks"), "{error}");
    let mut cut = vae22::shapes(Diffusers);
    cut.0.retain(|name, _| !name.starts_with("decoder"));
    assert!(matches!(config_of(cut, None), Err(ImportError::MissingTensors { .. })));
}

/// Writes the golden weights under the names of `naming`.
fn file(golden: &Golden, config: &VaeConfig, naming: Naming, folder: &Path) -> PathBuf {
    let stages = config.into();
    let halves =
        [("enc.", KeyTable::vae_encoder(naming, stages)), ("dec.", KeyTable::vae_decoder(naming, stages))];
    let tensors: Vec<_> = halves
        .iter()
        .flat_map(|(half, table)| {
            golden.keys(half).map(move |path| {
                let (shape, values) = golden.get(&format!("{half}{path}"));
                (table.file_key(path).unwrap(), shape.to_vec(), f32s(values))
            })
        })
        .collect();
    let named: Vec<Named> = tensors
        .iter()
        .map(|(key, shape, bytes)| (key.as_str(), Dtype::F32, shape.clone(), bytes.clone()))
        .collect();
    support::write(&folder.join("diffusion_pytorch_model.safetensors"), &named)
}

#[test]
fn a_file_gives_the_references_latents_and_frames() {
    let golden = Golden::load("vae22");
    let (mean, std) = (golden.get("mean").1, golden.get("std").1);
    let settings = format!(r#"{{"is_residual":true,"latents_mean":{mean:?},"latents_std":{std:?}}}"#);
    let expected = VaeConfig {
        base_dim: 4,
        decoder_base_dim: Some(3),
        z_dim: 5,
        num_res_blocks: 1,
        latents_mean: mean.to_vec(),
        latents_std: std.to_vec(),
        ..VaeConfig::wan_2_2()
    };
    for naming in [Official, Diffusers] {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&golden, &expected, naming, folder.path());
        fs::write(folder.path().join("config.json"), &settings).unwrap();
        let component = Component::open(&path).unwrap();
        assert_eq!(component.vae_config().unwrap(), expected);
        for device in devices().into_iter().filter(|device| !device.gpu) {
            let (encoder, keys) =
                (component.load_vae_encoder(&device.device), component.vae_decoder_keys(&expected));
            let latents = encoder.unwrap().encode(golden.tensor("video", &device.device));
            assert_close(device.name, latents, golden.get("encoded"), Tolerance::MODULE);
            let decoder = VaeDecoder::new(&expected, &device.device);
            let source: &dyn TensorSource = &*component.source;
            let decoder = load_module(decoder, source, &keys, &DtypePolicy::F32, &device.device).unwrap();
            let frames = decoder.stream(golden.tensor("latents", &device.device)).collect();
            assert_close(device.name, Tensor::cat(frames, 2), golden.get("decoded"), Tolerance::MODULE);
        }
    }
}
