//! `hoists [--layers N] [--latent F,H,W] [--rounds N] [--device cpu|wgpu]`: a guided step of LingBot-World's blocks at
//! full width, random weights, with everything kept that stays the same in a run, with it shared by the step's two
//! passes, and without, in turns; as JSON on stdout. All three must give the same bits.

use std::convert::Infallible;

use burn::{prelude::*, tensor::Distribution};
use wan_benches::{
    argument, device_argument, fill, latent_argument, peak_memory_bytes, processor_seconds, time,
};
use wan_model::{CameraContext, Conditions, Context, WanConfig, WanTransformer};

#[derive(serde::Serialize)]
struct Row {
    what: String,
    device: String,
    machine: Option<String>,
    commit: Option<String>,
    tokens: usize,
    layers: usize,
    forms: Vec<Form>,
    equal_bits: bool,
    peak_memory_bytes: Option<u64>,
}

/// One way of doing a step.
#[derive(serde::Serialize)]
struct Form {
    form: &'static str,
    seconds: Vec<f64>,
    processor_seconds: Vec<f64>,
}

/// What a run is given.
struct Given {
    model: WanTransformer,
    x: Tensor<5>,
    texts: [Context; 2],
    control: Tensor<3>,
}

impl Given {
    fn new(config: &WanConfig, [f, h, w]: [usize; 3], device: &Device) -> Self {
        let normal = |shape: [usize; 3]| Tensor::<3>::random(shape, Distribution::Normal(0.0, 1.0), device);
        let model = fill(WanTransformer::new(config, device));
        let texts = [20, 60].map(|rows| model.embed_text(normal([1, rows, config.text_dim])));
        let x = normal([config.in_dim * f, h, w]).reshape([1, config.in_dim, f, h, w]);
        let tokens = f * h * w / config.patch_volume();
        let control = normal([1, tokens, config.control_width().unwrap_or_default()]) * 0.1;
        Self { model, x, texts, control }
    }

    fn contexts(&self, kept: usize, camera: usize) -> ([Context; 2], Option<CameraContext>) {
        let camera = self.model.embed_camera(self.control.clone(), camera).ok();
        (self.texts.clone().map(|text| text.keeping(kept)), camera)
    }

    /// Both passes block by block in turn.
    fn together(&self, (texts, camera): &([Context; 2], Option<CameraContext>)) -> [TensorData; 2] {
        let conditions = Conditions { texts: [&texts[0], &texts[1]], image: None, camera: camera.as_ref() };
        let [.., f, h, w] = self.x.dims();
        let rope = self.model.rope([f, h, w], &self.x.device());
        let go_on = || Ok::<_, Infallible>(());
        let Ok(both) = self.model.forward_each(self.x.clone(), 500.0, conditions, &rope, go_on);
        both.map(Tensor::into_data)
    }

    /// One pass after the other.
    fn apart(&self, (texts, camera): &([Context; 2], Option<CameraContext>)) -> [TensorData; 2] {
        let [.., f, h, w] = self.x.dims();
        let rope = self.model.rope([f, h, w], &self.x.device());
        [0, 1].map(|n| {
            let conditions = Conditions { texts: [&texts[n]], image: None, camera: camera.as_ref() };
            self.model.forward(self.x.clone(), 500.0, conditions, &rope).into_data()
        })
    }
}

/// A guided step.
type Way<'a> = Box<dyn Fn() -> [TensorData; 2] + 'a>;

#[expect(clippy::print_stdout, reason = "a measurement's result is its output")]
fn main() {
    let (device_name, device) = device_argument();
    let config = WanConfig { layers: argument("--layers", 4), ..WanConfig::lingbot_base_cam() };
    let latent = latent_argument();
    let given = Given::new(&config, latent, &device);
    let (none, shared) = (given.contexts(0, 0), given.contexts(config.layers, 0));
    let kept = given.contexts(config.layers, config.layers);
    let ways: [(&str, Way<'_>); 3] = [
        ("without", Box::new(|| given.apart(&none))),
        ("shared by the two passes", Box::new(|| given.together(&shared))),
        ("kept", Box::new(|| given.together(&kept))),
    ];
    let mut forms =
        ways.each_ref().map(|(form, _)| Form { form, seconds: vec![], processor_seconds: vec![] });
    // What is kept is made by a first step, which is not timed.
    let first = given.together(&kept);
    let mut equal_bits = true;
    for _ in 0..argument("--rounds", 1) {
        for ((_, way), form) in ways.iter().zip(&mut forms) {
            let start = processor_seconds();
            form.seconds.extend(time(1, || equal_bits &= way() == first));
            form.processor_seconds.extend(processor_seconds().zip(start).map(|(end, start)| end - start));
        }
    }
    let [machine, commit] = ["WAN_MACHINE", "WAN_COMMIT"].map(|name| std::env::var(name).ok());
    let what = format!("a guided step of {} LingBot-World blocks at full width, f32", config.layers);
    let tokens = latent.iter().product::<usize>() / config.patch_volume();
    let (layers, forms, peak_memory_bytes) = (config.layers, forms.into(), peak_memory_bytes());
    let row = Row {
        what,
        device: device_name,
        machine,
        commit,
        tokens,
        layers,
        forms,
        equal_bits,
        peak_memory_bytes,
    };
    println!("{}", serde_json::to_string(&row).unwrap_or_default());
}
