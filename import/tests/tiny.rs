//! Tiny decoders against PyTorch, out of files with the names of the released ones.
#![allow(clippy::unwrap_used)]

use burn::prelude::*;
use safetensors::{Dtype, tensor::TensorView};
use testkit::{Golden, Tolerance, assert_close, devices};
use wan_import::{ImportError, load_tiny_decoder};

/// The golden's weights as a file, some left out or added.
fn file(golden: &Golden, keep: impl Fn(&str) -> bool) -> tempfile::NamedTempFile {
    let file = tempfile::Builder::new().suffix(".safetensors").tempfile().unwrap();
    let tensors: Vec<_> = golden
        .keys("")
        .filter(|key| key.starts_with("decoder.") && keep(key))
        .map(|key| {
            let (shape, values) = golden.get(key);
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            (key.to_owned(), shape.to_vec(), bytes)
        })
        .chain([("encoder.0.weight".to_owned(), vec![1], vec![0; 4])])
        .collect();
    let views = tensors
        .iter()
        .map(|(key, shape, bytes)| (key.clone(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    safetensors::serialize_to_file(views, None, file.path()).unwrap();
    file
}

#[test]
fn frames_are_those_of_pytorch() {
    for name in ["tiny_2_1", "tiny_2_2"] {
        let golden = Golden::load(name);
        let file = file(&golden, |_| true);
        for device in devices() {
            let decoder = load_tiny_decoder(file.path(), &device.device).unwrap();
            let latents: Tensor<5> = golden.tensor("latents", &device.device);
            let one = decoder.forward(latents.clone().slice_dim(2, 0..1));
            assert_close(
                device.name,
                decoder.forward(latents),
                golden.get("video"),
                Tolerance::module(&device),
            );
            assert_close(device.name, one, golden.get("one"), Tolerance::module(&device));
        }
    }
}

#[test]
fn other_files_are_refused() {
    let golden = Golden::load("tiny_2_1");
    for missing in ["decoder.1.weight", "decoder.9.conv.2.bias", "decoder.22.weight"] {
        let file = file(&golden, |key| key != missing);
        let refused = load_tiny_decoder(file.path(), &Device::flex()).unwrap_err();
        assert!(
            matches!(&refused, ImportError::MissingTensors { first, .. } if first.iter().any(|key| key == missing)),
            "{refused}"
        );
    }
}
