//! The umT5 encoder against transformers' `UMT5EncoderModel`.
#![allow(clippy::unwrap_used)]

use burn::{
    module::{Module, ModuleMapper, Param},
    prelude::*,
    tensor::DType,
};
use testkit::{Golden, TestDevice, Tolerance, assert_close, devices};
use wan_model::text::{PositionBuckets, Umt5Block, Umt5Config, Umt5Encoder, Umt5Norm, position_bucket};

const LENGTHS: [usize; 4] = [1, 7, 40, 150];

/// `narrow`: heads cover half of the width. `wide`: twice the width.
fn config(heads: usize) -> Umt5Config {
    Umt5Config {
        vocab: 384,
        d_model: 32,
        d_kv: 8,
        heads,
        d_ff: 48,
        layers: 2,
        buckets: 32,
        max_distance: 128,
        eps: 1e-6,
    }
}

fn encoder(golden: &Golden, heads: usize, device: &Device) -> Umt5Encoder {
    golden.fill(&format!("w{heads}."), Umt5Encoder::new(&config(heads), device))
}

fn check(encoder: &Umt5Encoder, golden: &Golden, heads: usize, device: &TestDevice, tolerance: Tolerance) {
    for n in LENGTHS {
        let rows = golden.tensor::<3>(&format!("in.{n}"), &device.device);
        let key = format!("out{heads}.{n}");
        assert_close(
            &format!("{key} on {}", device.name),
            encoder.forward(rows),
            golden.get(&key),
            tolerance,
        );
    }
}

#[test]
fn encoder_matches_transformers() {
    let golden = Golden::load("umt5");
    for device in devices() {
        for heads in [4, 6] {
            let encoder = encoder(&golden, heads, &device.device);
            check(&encoder, &golden, heads, &device, Tolerance::module(&device));
        }
    }
}

#[test]
fn encoder_in_f16_matches_transformers() {
    let golden = Golden::load("umt5");
    for device in devices().into_iter().filter(|d| d.gpu && d.device.supports_dtype(DType::F16)) {
        let encoder = encoder(&golden, 4, &device.device).map(&mut ToF16);
        check(&encoder, &golden, 4, &device, Tolerance::MODULE_F16);
    }
}

/// Hidden values past f16's range, as the full-size encoder has them, stay finite.
#[test]
fn feed_forward_in_f16_does_not_overflow() {
    let golden = Golden::load("umt5");
    for device in devices().into_iter().filter(|d| d.gpu && d.device.supports_dtype(DType::F16)) {
        let loud = encoder(&golden, 4, &device.device).map(&mut Louder::default());
        let rows = golden.tensor::<3>("in.7", &device.device);
        let expected = loud.clone().forward(rows.clone()).into_data();
        let expected = expected.as_slice::<f32>().unwrap().to_vec();
        let actual = loud.map(&mut ToF16).forward(rows);
        assert_close(
            &format!("loud on {}", device.name),
            actual,
            (&[1, 7, 32], &expected),
            Tolerance::MODULE_F16,
        );
    }
}

#[test]
fn layer_by_layer_is_the_same_encoder() {
    let golden = Golden::load("umt5");
    let device = Device::flex();
    let rows = golden.tensor::<3>("in.40", &device);
    let whole = encoder(&golden, 4, &device).forward(rows.clone()).into_data();
    let positions = PositionBuckets::new(40, &config(4), &device);
    let x = (0..2).fold(rows, |x, layer| {
        golden
            .fill(&format!("w4.blocks.{layer}."), Umt5Block::new(&config(4), &device))
            .forward(x, &positions)
    });
    let x = golden.fill("w4.norm.", Umt5Norm::new(&config(4), &device)).forward(x);
    assert_eq!(x.into_data(), whole);
}

#[test]
fn buckets_are_those_of_the_paper() {
    let table = [
        (0, 0),
        (1, 17),
        (-1, 1),
        (7, 23),
        (8, 24),
        (12, 25),
        (16, 26),
        (23, 27),
        (32, 28),
        (46, 29),
        (64, 30),
        (91, 31),
        (128, 31),
        (-128, 15),
    ];
    for (relative, bucket) in table {
        assert_eq!(position_bucket(relative, 32, 128), bucket, "relative position {relative}");
    }
}

#[test]
fn buckets_match_transformers_at_every_distance() {
    let golden = Golden::load("umt5");
    for (relative, &bucket) in (-511i64..).zip(golden.get("buckets").1) {
        assert_eq!(position_bucket(relative, 32, 128), bucket as usize, "relative position {relative}");
    }
}

#[test]
fn buckets_stay_in_the_table() {
    for buckets in 2..7 {
        for distance in [0, 1, 2, 128] {
            for relative in [i64::MIN, -5, -1, 0, 1, 5, i64::MAX] {
                let bucket = position_bucket(relative, buckets, distance);
                assert!(bucket < buckets, "{relative}: bucket {bucket} of {buckets}, distance {distance}");
            }
        }
    }
}

struct ToF16;

impl ModuleMapper for ToF16 {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| tensor.cast(DType::F16))
    }
}

/// Gate and up projections so large that their product passes 65504.
#[derive(Default)]
struct Louder {
    path: Vec<String>,
}

impl ModuleMapper for Louder {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let loud = self.path.iter().any(|name| name == "gate" || name == "up");
        param.map(|tensor| if loud { tensor * 500.0 } else { tensor })
    }
}
