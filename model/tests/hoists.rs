//! What a run computes once gives the same bits as computing it in every pass.
#![allow(clippy::unwrap_used)]

use std::convert::Infallible;

use burn::{prelude::*, tensor::TensorData};
use testkit::{Golden, TestDevice, devices, tensor};
use wan_model::{Conditions, Context, ModelKind, Timestep, WanConfig, WanTransformer};

/// A toy of each kind, with the golden that holds its weights.
fn toys() -> [(&'static str, &'static str, WanConfig); 3] {
    let base =
        WanConfig { dim: 32, heads: 2, ffn_dim: 48, text_dim: 24, out_dim: 4, ..WanConfig::t2v_1_3b() };
    let kind = |kind, in_dim, layers| WanConfig { kind, in_dim, layers, ..base.clone() };
    [
        ("dit_camera", "w.", kind(ModelKind::LingBot { control_dim: 1, causal: false }, 6, 2)),
        ("dit_image", "clip.w.", kind(ModelKind::ClipI2v { image_dim: 20 }, 9, 2)),
        ("dit_timesteps", "w.", kind(ModelKind::Ti2v, 4, 2)),
    ]
}

/// What a run is given.
struct Given {
    x: Tensor<5>,
    texts: [Tensor<3>; 2],
    states: Option<Tensor<3>>,
    control: Option<Tensor<3>>,
}

impl Given {
    fn new(config: &WanConfig, device: &Device) -> Self {
        let x = tensor(1, [1, config.in_dim, 3, 4, 6], device);
        let texts = [(2, 7), (3, 11)].map(|(seed, n)| tensor(seed, [1, n, config.text_dim], device));
        let states = config.image_dim().map(|width| tensor(4, [1, 5, width], device));
        let control = config.control_width().map(|width| tensor(5, [1, 3 * 6, width], device));
        Self { x, texts, states, control }
    }

    /// The flow with both texts at a step; `hoisted` contexts come from outside, else all is computed in each pass.
    fn flows(&self, model: &WanTransformer, step: usize, hoisted: Option<&Hoisted>) -> [TensorData; 2] {
        let (rope, timestep) = (model.rope([3, 4, 6], &self.x.device()), timestep(model.config(), step));
        if let Some(Hoisted { texts: [one, other], image, camera }) = hoisted {
            let conditions =
                Conditions { texts: [one, other], image: image.as_ref(), camera: camera.as_ref() };
            let go_on = || Ok::<_, Infallible>(());
            let Ok(both) = model.forward_each(self.x.clone(), timestep, conditions, &rope, go_on);
            return both.map(Tensor::into_data);
        }
        [0, 1].map(|n| {
            let Hoisted { texts, image, camera } = self.contexts(model, 0);
            let conditions =
                Conditions { texts: [&texts[n]], image: image.as_ref(), camera: camera.as_ref() };
            model.forward(self.x.clone(), timestep, conditions, &rope).into_data()
        })
    }

    fn contexts(&self, model: &WanTransformer, kept: usize) -> Hoisted {
        let image = self.states.clone().map(|states| model.embed_image(states).unwrap().keeping(kept));
        let camera = self.control.clone().map(|control| model.embed_camera(control, kept).unwrap());
        Hoisted { texts: self.texts.clone().map(|text| model.embed_text(text).keeping(kept)), image, camera }
    }
}

struct Hoisted {
    texts: [Context; 2],
    image: Option<Context>,
    camera: Option<wan_model::CameraContext>,
}

impl Hoisted {
    fn keep(&self, model: &WanTransformer) {
        let Self { texts: [one, other], image, camera } = self;
        let conditions = Conditions { texts: [one, other], image: image.as_ref(), camera: camera.as_ref() };
        let Ok(()) = model.keep(conditions, || Ok::<_, Infallible>(()));
    }

    /// Blocks for which each has what it keeps.
    fn made(&self) -> Vec<usize> {
        let contexts = self.texts.iter().chain(&self.image).map(Context::blocks_made);
        contexts.chain(self.camera.iter().map(wan_model::CameraContext::blocks_made)).collect()
    }
}

fn timestep(config: &WanConfig, step: usize) -> Timestep {
    let rest = 900.0 - 300.0 * step as f64;
    match config.kind {
        ModelKind::Ti2v => Timestep::FirstFrame { first: 0.0, rest },
        _ => Timestep::All(rest),
    }
}

#[test]
fn kept_shared_and_computed_anew_are_equal_to_the_bit() {
    for TestDevice { name, device, .. } in &devices() {
        for (golden, prefix, config) in toys() {
            let model = Golden::load(golden).fill(prefix, WanTransformer::new(&config, device));
            let given = Given::new(&config, device);
            for kept in [0, 1, 2] {
                let hoisted = given.contexts(&model, kept);
                for step in 0..3 {
                    let found = given.flows(&model, step, Some(&hoisted));
                    let expected = given.flows(&model, step, None);
                    assert!(found == expected, "{name} {golden}: step {step}, {kept} blocks kept");
                    assert!(found[0] != found[1], "{name} {golden}: the text changes nothing");
                }
            }
        }
    }
}

/// Blocks that are held elsewhere see the same contexts.
#[test]
fn streamed_blocks_keep_the_same() {
    let (golden, prefix, config) = toys()[0].clone();
    for TestDevice { name, device, .. } in &devices() {
        let held = Golden::load(golden).fill(prefix, WanTransformer::new(&config, device));
        let given = Given::new(&config, device);
        let expected = given.flows(&held, 0, None);
        let host = Golden::load(golden).fill(prefix, WanTransformer::new(&config, &Device::flex()));
        let streamed = host.with_blocks_streamed_to(device);
        let hoisted = given.contexts(&streamed, 1);
        for _ in 0..2 {
            assert!(given.flows(&streamed, 0, Some(&hoisted)) == expected, "{name}");
        }
    }
}

/// All that a first pass would make, with the same bits, so that it makes nothing.
#[test]
fn what_is_made_ahead_is_all_that_passes_keep() {
    for TestDevice { name, device, .. } in &devices() {
        for (golden, prefix, config) in toys() {
            let model = Golden::load(golden).fill(prefix, WanTransformer::new(&config, device));
            let given = Given::new(&config, device);
            let expected = given.flows(&model, 0, None);
            for kept in [0, 1, 2] {
                let hoisted = given.contexts(&model, kept);
                assert!(hoisted.made().iter().all(|&made| made == 0), "{name} {golden}");
                hoisted.keep(&model);
                assert!(hoisted.made().iter().all(|&made| made == kept), "{name} {golden}");
                assert!(given.flows(&model, 0, Some(&hoisted)) == expected, "{name} {golden}");
            }
        }
    }
}

/// They are not fetched for the sake of what they keep; the first pass makes that.
#[test]
fn streamed_blocks_keep_nothing_ahead() {
    let (golden, prefix, config) = toys()[0].clone();
    let device = Device::flex();
    let held = Golden::load(golden).fill(prefix, WanTransformer::new(&config, &device));
    let given = Given::new(&config, &device);
    let streamed = held.with_blocks_streamed_to(&device);
    let hoisted = given.contexts(&streamed, 2);
    hoisted.keep(&streamed);
    assert_eq!(hoisted.made(), [0, 0, 0]);
    drop(given.flows(&streamed, 0, Some(&hoisted)));
    assert_eq!(hoisted.made(), [2, 2, 2]);
}

/// A pass ends before the next block of the next text once it is told to.
#[test]
fn a_pass_stops_between_blocks() {
    let (golden, prefix, config) = toys()[2].clone();
    let device = Device::flex();
    let model = Golden::load(golden).fill(prefix, WanTransformer::new(&config, &device));
    let given = Given::new(&config, &device);
    let Hoisted { texts: [one, other], .. } = given.contexts(&model, 2);
    for last in 0..4 {
        let mut asked = 0;
        let go_on = || {
            asked += 1;
            if asked > last { Err(asked) } else { Ok(()) }
        };
        let conditions = Conditions { texts: [&one, &other], image: None, camera: None };
        let rope = model.rope([3, 4, 6], &device);
        let stopped = model.forward_each(given.x.clone(), 500.0, conditions, &rope, go_on);
        assert_eq!(stopped.map(|_| ()), Err(last + 1));
    }
}
