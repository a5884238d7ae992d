//! What fewer bits cost and save: one block of LingBot-World at full width, beside the same block in floats.

use std::{ops::ControlFlow, time::Instant};

use burn::{prelude::*, tensor::DType};
use serde::Serialize;
use wan_import::Quant;
use wan_model::{Conditions, LargeLinears, WanConfig, WanTransformer};

use crate::{fill, relative_l2, time};

/// Rows and columns of one latent frame of 480 tokens.
const LATENT: [usize; 2] = [40, 48];
/// Forward passes that are timed.
const RUNS: usize = 3;

/// One form of the block's weights.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// `f32`, `int8` or `nf4`.
    pub weights: &'static str,
    pub tokens: usize,
    /// Values in the large layers.
    pub parameters: usize,
    /// Held for them, scales included.
    pub bytes: usize,
    /// Part of the bytes in f32 that is not held.
    pub saving: f64,
    pub quantize_seconds: f64,
    /// Relative L2 error of the output against f32's.
    pub error: f64,
    /// Median of a forward pass of the whole one-block network.
    pub forward_seconds: f64,
}

/// Measures each form on `device` and hands its row to `tell` until that breaks.
pub fn run(device: &Device, mut tell: impl FnMut(Row) -> ControlFlow<()>) -> ControlFlow<()> {
    // A narrow text encoder: its embedding is no part of the block.
    let config = WanConfig { layers: 1, text_dim: 64, ..WanConfig::lingbot_base_cam() };
    let model = fill(WanTransformer::new(&config, device));
    let input = Input::new(&model, device);
    let exact = input.flow(&model);
    for quant in [None, Some(Quant::Int8), Some(Quant::Nf4)] {
        let mut model = model.clone();
        let start = Instant::now();
        let held = match quant {
            Some(quant) => quantize(&mut model, quant, device),
            None => in_floats(&mut model),
        };
        let quantize_seconds = quant.map_or(0.0, |_| start.elapsed().as_secs_f64());
        let error = relative_l2(&input.flow(&model), &exact);
        let mut seconds = time(RUNS, || drop(input.flow(&model)));
        seconds.sort_by(f64::total_cmp);
        tell(Row {
            weights: quant.map_or("f32", Quant::name),
            tokens: LATENT[0] * LATENT[1] / config.patch_volume(),
            parameters: held.values,
            bytes: held.bytes,
            saving: 1.0 - held.bytes as f64 / (4 * held.values) as f64,
            quantize_seconds,
            error,
            forward_seconds: seconds[seconds.len() / 2],
        })?;
    }
    ControlFlow::Continue(())
}

/// Of the large layers.
#[derive(Default)]
struct Held {
    values: usize,
    bytes: usize,
}

fn in_floats(model: &mut WanTransformer) -> Held {
    let mut held = Held::default();
    model.large_linears("", &mut |_, linear| held.values += linear.shape().iter().product::<usize>());
    Held { bytes: 4 * held.values, ..held }
}

fn quantize(model: &mut WanTransformer, quant: Quant, device: &Device) -> Held {
    let mut held = Held::default();
    model.large_linears("", &mut |_, linear| {
        let [n, k] = linear.shape();
        let values =
            linear.weight().map(|weight| weight.into_data().try_into_vec::<f32>().unwrap_or_default());
        if let Some(Ok(matrix)) =
            values.map(|values| quant.quantize(&values, [n, k], device.supports_dtype(DType::F16), device))
        {
            held.values += n * k;
            held.bytes += matrix.bytes();
            linear.quantize(matrix, linear.dtype());
        }
    });
    held
}

/// The same for every form.
struct Input {
    x: Tensor<5>,
    text: Tensor<3>,
    control: Tensor<3>,
}

impl Input {
    fn new(model: &WanTransformer, device: &Device) -> Self {
        let config = model.config();
        let [rows, columns] = LATENT;
        let tokens = rows * columns / config.patch_volume();
        let random =
            |shape: [usize; 3]| Tensor::<3>::random(shape, burn::tensor::Distribution::Default, device);
        Self {
            x: random([config.in_dim, rows, columns]).reshape([1, config.in_dim, 1, rows, columns]),
            text: model.embed_text(random([1, 20, config.text_dim])),
            control: random([1, tokens, config.control_width().unwrap_or_default()]),
        }
    }

    /// The network's output; empty if it takes no camera, which LingBot-World does.
    fn flow(&self, model: &WanTransformer) -> Vec<f32> {
        let Ok(camera) = model.embed_camera(self.control.clone(), 0) else { return Vec::new() };
        let conditions = Conditions { text: &self.text, image: None, camera: Some(&camera) };
        let rope = model.rope([1, LATENT[0], LATENT[1]], &self.x.device());
        let y = model.forward(self.x.clone(), 500.0, conditions, &rope);
        y.into_data().convert::<f32>().try_into_vec().unwrap_or_default()
    }
}
