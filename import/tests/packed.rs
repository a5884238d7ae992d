//! Weights that bitsandbytes serialised: what they stand for, where their bytes lie, and forms that are refused.
#![allow(clippy::unwrap_used)]

mod support;

use burn::{module::Module, prelude::*};
use safetensors::Dtype;
use support::{Named, f32s, write};
use testkit::{Golden, TestDevice, Tolerance, assert_close, devices, tensor};
use wan_import::{
    DtypePolicy, ImportError, KeyTable, Quant, Stored, TensorFile, TensorSource, load_module, load_network,
    open, packed_matrix,
};
use wan_kernels::NF4;
use wan_model::{LargeLinears, Linear};

/// The same codes and scales, products and sums in another order.
const F32: Tolerance = Tolerance(2e-6);

/// Names, `[n, k]`, and whether products take them as they lie.
const WEIGHTS: [(&str, [usize; 2], Quant, bool); 4] = [
    ("nested", [40, 1024], Quant::Nf4, true),
    ("plain", [24, 128], Quant::Nf4, true),
    ("rows", [24, 128], Quant::Int8, true),
    ("short", [6, 96], Quant::Nf4, false),
];

fn golden() -> TensorFile {
    open(&Golden::path("bnb.safetensors")).unwrap()
}

#[derive(Module, Debug)]
struct Layer {
    linear: Linear,
}

impl LargeLinears for Layer {
    fn large_linears(&mut self, _: &str, visit: &mut dyn FnMut(&str, &mut Linear)) {
        visit("linear", &mut self.linear);
    }
}

#[test]
fn a_file_shows_weights_and_not_their_scales() {
    let file = golden();
    let names: Vec<_> = WEIGHTS.iter().map(|(name, ..)| format!("{name}.weight")).collect();
    assert_eq!(file.names(), [&names[0], "norm.weight", &names[1], &names[2], &names[3]]);
    for (name, shape, quant, _) in WEIGHTS {
        let info = file.info(&format!("{name}.weight")).unwrap();
        assert_eq!((info.shape.as_slice(), &info.dtype), (&shape[..], &Stored::Quantized(quant)), "{name}");
    }
    assert_eq!(file.info("rows.weight").unwrap().bytes, 24 * 128 + 24 * 4 + 1);
}

#[test]
fn weights_stand_for_what_bitsandbytes_means() {
    let (file, values) = (golden(), Golden::load("bnb_values"));
    for TestDevice { name: on, device, .. } in devices() {
        for (name, [n, k], _, as_it_lies) in WEIGHTS {
            let table = KeyTable::custom(&[("linear.weight", &format!("{name}.weight"))], &["*"]);
            let layer = || Layer { linear: Linear::without_bias(k, n, &device) };
            let x = tensor::<3>(3, [1, 5, k], &device);
            let weight: Tensor<2> = values.tensor(name, &device);
            let expected = x.clone().reshape([5, k]).matmul(weight.transpose()).into_data();
            let expected = (&[1, 5, n][..], expected.as_slice::<f32>().unwrap());
            let what = format!("{name} on {on}");
            let held = load_network(layer(), "", &file, &table, &DtypePolicy::F32, &device).unwrap();
            assert_close(&what, held.linear.forward(x.clone()), expected, F32);
            let matrix = packed_matrix(&file, &format!("{name}.weight"), false, &device).unwrap();
            assert_eq!(matrix.map(|matrix| matrix.dims()), as_it_lies.then_some([n, k]), "{what}");
            let floats = load_module(layer(), &file, &table, &DtypePolicy::F32, &device).unwrap();
            assert_close(&what, floats.linear.forward(x), expected, F32);
        }
    }
}

#[test]
fn codes_stay_where_they_are_on_the_host() {
    let file = golden();
    for (name, borrowed) in [("nested.weight", true), ("rows.weight", true), ("plain.weight", false)] {
        let matrix = packed_matrix(&file, name, true, &Device::flex()).unwrap().unwrap();
        let words = matrix.into_parts().0.into_data();
        let held = words.as_bytes().as_ptr() == file.data(name).unwrap().as_ptr();
        assert_eq!(held, borrowed, "{name}");
    }
}

/// A matrix `[2, 64]` in nf4.
fn nf4(state: &str) -> Vec<Named<'static>> {
    let state = state.as_bytes().to_vec();
    vec![
        ("a.weight", Dtype::U8, vec![64, 1], vec![0x7f; 64]),
        ("a.weight.absmax", Dtype::F32, vec![2], f32s(&[1.0, 2.0])),
        ("a.weight.quant_map", Dtype::F32, vec![16], f32s(&NF4)),
        ("a.weight.quant_state.bitsandbytes__nf4", Dtype::U8, vec![state.len()], state),
    ]
}

fn int8() -> Vec<Named<'static>> {
    vec![
        ("a.weight", Dtype::I8, vec![2, 64], vec![1; 128]),
        ("a.SCB", Dtype::F32, vec![2], f32s(&[1.0, 2.0])),
        ("a.weight_format", Dtype::U8, vec![], vec![0]),
    ]
}

const STATE: &str = r#"{"quant_type":"nf4","blocksize":64,"dtype":"float32","shape":[2,64]}"#;

fn opened(tensors: &[Named]) -> Result<TensorFile, ImportError> {
    let folder = tempfile::tempdir().unwrap();
    open(&write(&folder.path().join("x.safetensors"), tensors))
}

fn refused(tensors: &[Named], why: &str) {
    match opened(tensors) {
        Err(ImportError::Quantized { key, detail, .. }) => {
            assert!(key == "a.weight" && detail.contains(why), "{why}: {detail}");
        }
        other => panic!("{why}: {other:?}"),
    }
}

#[test]
fn other_forms_are_refused() {
    opened(&nf4(STATE)).unwrap();
    opened(&int8()).unwrap();
    for (from, to, why) in [
        ("nf4", "fp4", "fp4"),
        (":64", ":0", "blocks of 0"),
        (":64", ":-1", "state"),
        ("[2,64]", "[2]", "no matrix"),
        ("[2,64]", "[0,64]", "too large, or empty"),
        ("[2,64]", "[4294967296,4294967296]", "too large"),
        ("[2,64]", "[1048576,1048576]", "bytes are needed"),
        ("{", "[", "state"),
    ] {
        refused(&nf4(&STATE.replacen(from, to, 1)), why);
    }
    refused(&nf4(&format!("{}{STATE}", " ".repeat(1 << 17))), "too large");
    let changed = |at: usize, tensor: Named<'static>| {
        let mut tensors = nf4(STATE);
        tensors[at] = tensor;
        tensors
    };
    let fp4 = "a.weight.quant_state.bitsandbytes__fp4";
    refused(&changed(3, (fp4, Dtype::U8, vec![2], b"{}".to_vec())), "fp4 of bitsandbytes");
    refused(&changed(1, ("a.weight.other", Dtype::F32, vec![1], vec![0; 4])), "absmax is missing");
    refused(&changed(1, ("a.weight.absmax", Dtype::U8, vec![2], vec![0; 2])), "nested_blocksize");
    refused(&changed(2, ("a.weight.quant_map", Dtype::F32, vec![16], f32s(&[0.5; 16]))), "code book");
    refused(&changed(0, ("a.weight", Dtype::I8, vec![64, 1], vec![0; 64])), "bytes are needed");
    let mut tensors = int8();
    tensors[1] = ("a.SCB", Dtype::F32, vec![3], f32s(&[1.0; 3]));
    refused(&tensors, "2 floats are needed");
    tensors = int8();
    tensors[2].3 = vec![1];
    refused(&tensors, "not that of rows");
    tensors = int8();
    tensors[0].2 = vec![128];
    refused(&tensors, "no matrix");
    tensors = int8();
    tensors.push(("a.weight.scales", Dtype::F16, vec![2, 1], vec![0; 4]));
    refused(&tensors, "two kinds");
}

#[test]
fn scales_that_are_not_finite_are_refused() {
    let mut tensors = int8();
    tensors[1].3 = f32s(&[1.0, f32::NAN]);
    let file = opened(&tensors).unwrap();
    let error = packed_matrix(&file, "a.weight", true, &Device::flex());
    assert!(matches!(error, Err(ImportError::NonFinite { .. })), "{error:?}");
}
