//! The transformer's optional parts against PyTorch: images, a timestep of the first frame's own, cameras.
#![allow(clippy::unwrap_used)]

use burn::prelude::*;
use testkit::{Golden, TestDevice, Tolerance, assert_close, devices};
use wan_model::{
    CameraContext, Conditions, Context, ModelError, ModelKind, Timestep, WanConfig, WanTransformer,
};

const IMAGE_DIM: usize = 20;

fn tiny(kind: ModelKind, in_dim: usize, layers: usize) -> WanConfig {
    let config = WanConfig { kind, in_dim, layers, ..WanConfig::t2v_1_3b() };
    WanConfig { dim: 32, heads: 2, ffn_dim: 48, out_dim: 4, text_dim: 24, ..config }
}

/// A network and a case of a golden on a device.
struct Case<'a> {
    golden: &'a Golden,
    name: &'a str,
    model: WanTransformer,
    device: &'a TestDevice,
}

impl Case<'_> {
    fn tensor<const D: usize>(&self, key: &str) -> Tensor<D> {
        self.golden.tensor(&format!("{}.{key}", self.name), &self.device.device)
    }

    fn timestep(&self) -> f64 {
        f64::from(self.golden.get(&format!("{}.t", self.name)).1[0])
    }

    fn forward(
        &self,
        timestep: impl Into<Timestep>,
        image: Option<&Context>,
        camera: Option<&CameraContext>,
    ) -> Tensor<5> {
        let text = self.model.embed_text(self.tensor("text"));
        let x = self.tensor::<5>("x");
        let [_, _, f, h, w] = x.dims();
        let conditions = Conditions { texts: [&text], image, camera };
        self.model.forward(x, timestep, conditions, &self.model.rope([f, h, w], &self.device.device))
    }

    fn check(&self, y: Tensor<5>, key: &str) {
        let expected = self.golden.get(&format!("{}.{key}", self.name));
        let what = format!("{} {} {key}", self.device.name, self.name);
        assert_close(&what, y, expected, Tolerance::module(self.device));
    }
}

#[test]
fn one_image_and_a_pair_with_positions() {
    let golden = Golden::load("dit_image");
    let pair = ModelKind::Flf2v { image_dim: IMAGE_DIM, image_len: 10 };
    let kinds = [("clip", ModelKind::ClipI2v { image_dim: IMAGE_DIM }, 2), ("pair", pair, 1)];
    for device in &devices() {
        for (name, kind, layers) in kinds.clone() {
            let model = WanTransformer::new(&tiny(kind, 9, layers), &device.device);
            let model = golden.fill(&format!("{name}.w."), model);
            let case = Case { golden: &golden, name, model, device };
            let image = case.model.embed_image(case.tensor("image")).unwrap();
            case.check(case.forward(case.timestep(), Some(&image), None), "y");
            case.check(case.forward(case.timestep(), None, None), "without");
        }
    }
}

#[test]
fn a_timestep_of_the_first_frames_own() {
    let golden = Golden::load("dit_timesteps");
    for device in &devices() {
        for name in ["given", "single"] {
            let model = WanTransformer::new(&tiny(ModelKind::Ti2v, 4, 2), &device.device);
            let case = Case { golden: &golden, name, model: golden.fill("w.", model), device };
            let [first, rest] = [0, 1].map(|n| f64::from(golden.get(&format!("{name}.t")).1[n]));
            case.check(case.forward(Timestep::FirstFrame { first, rest }, None, None), "y");
            let both = case.forward(Timestep::FirstFrame { first: rest, rest }, None, None);
            let one = case.forward(rest, None, None).into_data();
            let expected = (one.shape().as_slice(), one.as_slice::<f32>().unwrap());
            assert_close(device.name, both, expected, Tolerance::module(device));
        }
    }
}

/// Whether the modulations of no block, of some or of all are kept changes nothing, and no camera is no camera.
#[test]
fn a_camera() {
    let golden = Golden::load("dit_camera");
    let kind = ModelKind::LingBot { control_dim: 1, causal: false };
    for device in &devices() {
        let model = golden.fill("w.", WanTransformer::new(&tiny(kind.clone(), 6, 2), &device.device));
        let case = Case { golden: &golden, name: "case", model, device };
        for kept in [0, 1, 40] {
            let camera = case.model.embed_camera(case.tensor("control"), kept).unwrap();
            case.check(case.forward(case.timestep(), None, Some(&camera)), "y");
        }
        case.check(case.forward(case.timestep(), None, None), "without");
    }
}

#[test]
fn what_a_network_has_no_branch_for_is_refused() {
    let device = Device::flex();
    let zeros = |shape: [usize; 3]| Tensor::zeros(shape, &device);
    let plain = WanTransformer::new(&tiny(ModelKind::I2v, 9, 1), &device);
    assert!(matches!(plain.embed_image(zeros([1, 5, 20])), Err(ModelError::NoImageBranch)));
    assert!(matches!(plain.embed_camera(zeros([1, 8, 256]), 0), Err(ModelError::NoCameraBranch)));
    let pair = ModelKind::Flf2v { image_dim: IMAGE_DIM, image_len: 10 };
    let pair = WanTransformer::new(&tiny(pair, 9, 1), &device);
    for (shape, said) in [
        ([1, 5, 20], "5 image tokens of width 20, but the transformer takes 10 of 20"),
        ([2, 5, 16], "10 image tokens of width 16, but the transformer takes 10 of 20"),
    ] {
        assert_eq!(pair.embed_image(zeros(shape)).unwrap_err().to_string(), said);
    }
    assert_eq!(pair.embed_image(zeros([2, 5, 20])).unwrap().rows().dims(), [1, 10, 32]);
    let act = ModelKind::LingBot { control_dim: 7, causal: false };
    let act = WanTransformer::new(&tiny(act, 6, 1), &device);
    let error = act.embed_camera(zeros([1, 8, 1536]), 0).unwrap_err();
    assert_eq!(error.to_string(), "1536 control values per token, but the transformer takes 1792");
}
