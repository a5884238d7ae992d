//! What fewer bits cost and save: one block of LingBot-World at full width, beside the same block in floats.

use std::{ops::ControlFlow, time::Instant};

use burn::{
    prelude::*,
    tensor::{DType, Distribution},
};
use serde::Serialize;
use wan_import::Quant;
use wan_model::{
    CameraContext, Conditions, Context, LargeLinears, WanConfig, WanTransformer,
    camera::{CameraPath, control_tokens},
};

use crate::{fill, relative_l2, time};

/// Frames, rows and columns of a latent video of 480 tokens.
const LATENT: [usize; 3] = [2, 30, 32];
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
    /// Relative L2 error of the network's output against f32's.
    pub error: f64,
    /// Median of a forward pass of the whole one-block network.
    pub forward_seconds: f64,
}

/// Measures each form on `device` and hands its row to `tell` until that breaks.
pub fn run(device: &Device, mut tell: impl FnMut(Row) -> ControlFlow<()>) -> ControlFlow<()> {
    // A narrow text encoder: its embedding is no part of the block.
    let config = WanConfig { layers: 1, text_dim: 64, ..WanConfig::lingbot_base_cam() };
    let model = fill(WanTransformer::new(&config, device));
    let Some(input) = Input::new(&model, device) else { return ControlFlow::Continue(()) };
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
            tokens: LATENT.iter().product::<usize>() / config.patch_volume(),
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
    /// Every form computes its own keys and values.
    text: Context,
    camera: CameraContext,
}

impl Input {
    /// `None` for a network without a camera.
    fn new(model: &WanTransformer, device: &Device) -> Option<Self> {
        let config = model.config();
        let [frames, rows, columns] = LATENT;
        let normal = |shape: [usize; 3]| Tensor::<3>::random(shape, Distribution::Normal(0.0, 1.0), device);
        let control = walk()?.control(8 * rows, 8 * columns, device).ok()?;
        Some(Self {
            x: normal([config.in_dim * frames, rows, columns]).reshape([
                1,
                config.in_dim,
                frames,
                rows,
                columns,
            ]),
            text: model.embed_text(normal([1, 20, config.text_dim])).keeping(0),
            camera: model.embed_camera(control_tokens(control, config.patch), 0).ok()?,
        })
    }

    fn flow(&self, model: &WanTransformer) -> Vec<f32> {
        let conditions = Conditions { texts: [&self.text], image: None, camera: Some(&self.camera) };
        let y = model.forward(self.x.clone(), 500.0, conditions, &model.rope(LATENT, &self.x.device()));
        y.into_data().convert::<f32>().try_into_vec().unwrap_or_default()
    }
}

/// Five frames forward and to the left.
fn walk() -> Option<CameraPath> {
    let pose = |frame: usize| {
        let (sin, cos) = (0.05 * frame as f64).sin_cos();
        let forward = 0.1 * frame as f64;
        [[cos, 0.0, -sin, 0.0], [0.0, 1.0, 0.0, 0.0], [sin, 0.0, cos, forward], [0.0, 0.0, 0.0, 1.0]]
    };
    CameraPath::new(&[0, 1, 2, 3, 4].map(pose), &[[416.0, 416.0, 416.0, 240.0]; 5]).ok()
}
