//! Forward passes of a transformer, or of its first blocks, at real sizes.

use std::ops::ControlFlow;

use burn::{prelude::*, tensor::DType};
use serde::Serialize;
use wan_import::ImportError;
use wan_kernels::{DeviceCaps, DeviceKind};
use wan_model::{SamplingDefaults, WanConfig, WanTransformer};

use crate::{
    Camera, Form, Length, Networks, Pass,
    flops::forward_flops,
    kernels::matmul_gflop_per_second,
    memory::{available_bytes, peak_memory_bytes, reset_peak},
    time,
};

/// Part of the matrix product's speed that a whole pass is taken to reach before one was measured.
const LIKELY_SHARE: f64 = 0.7;
/// Part of the free memory that weights may take.
const WEIGHTS_SHARE: f64 = 0.6;
/// What weights may take on a device that does not tell its memory.
const UNKNOWN_BYTES: f64 = 8e9;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    pub device: Device,
    pub networks: Networks,
    /// Of the transformer's blocks the first so many; as many as fit the memory unless given.
    pub blocks: Option<usize>,
    pub forms: Vec<Form>,
    pub lengths: Vec<Length>,
    pub camera: Camera,
    /// Forward passes of one step: 2 with guidance.
    pub forwards: usize,
    /// Of a whole run, for its predicted time; the model's own unless given.
    pub steps: Option<usize>,
    pub warmup: usize,
    pub runs: usize,
    /// What would take longer than so many seconds, all runs together, is left out.
    pub limit: f64,
}

/// One length with weights in one form.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub model: String,
    #[serde(flatten)]
    pub length: Length,
    /// Measured, and of the whole transformer.
    pub blocks: usize,
    pub of_blocks: usize,
    /// Forward passes of a step.
    pub forwards: usize,
    pub dtype: &'static str,
    pub quant: &'static str,
    pub camera: bool,
    /// Blocks whose camera scale and shift were computed once, before the first pass.
    pub camera_blocks_kept: usize,
    pub load_seconds: f64,
    /// Before the first step: what passes share (keys and values of text and pictures, the camera's scale and shift), and
    /// on an adapter the kernels.
    pub prepare_seconds: f64,
    /// Of the first step.
    pub first_seconds: f64,
    /// Of each step after the warm-up.
    pub step_seconds: Vec<f64>,
    pub median_step_seconds: f64,
    /// Longest less shortest over the median.
    pub spread: f64,
    /// Extrapolated if not all blocks were measured: the median times `of_blocks / blocks`.
    pub full_depth_step_seconds: f64,
    pub extrapolated: bool,
    pub steps: usize,
    /// Of `steps` steps at full depth.
    pub total_seconds: f64,
    /// Of one step as measured, by the closed formula.
    pub tflop: f64,
    pub tflop_per_second: f64,
    /// Of what the device's own matrix product reaches.
    pub share_of_peak: f64,
    /// Of the process, since the weights began to be loaded.
    pub peak_memory_bytes: Option<u64>,
    /// The first form's time over this one's, at the same length.
    pub speed_up: Option<f64>,
}

/// What [`run`] tells.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Line {
    Peak {
        dtype: &'static str,
        matmul_gflop_per_second: f64,
    },
    Row(Box<Row>),
    /// A length the device cannot bear.
    LeftOut {
        tokens: usize,
        video: String,
        dtype: &'static str,
        quant: &'static str,
        left_out: String,
    },
    /// A step that is over, warm-up among them; for those who wait.
    #[serde(skip)]
    Step {
        tokens: usize,
        index: usize,
        of: usize,
        seconds: f64,
    },
}

/// Measures every form at every length until `told` breaks off.
///
/// # Errors
/// Those of loading.
pub fn run(
    options: &Options,
    mut told: impl FnMut(Line) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, ImportError> {
    let (mut firsts, mut peaks) = (Vec::new(), Vec::new());
    for &form in &options.forms {
        let dtype = form.dtype_name();
        let known = peaks.iter().find(|(of, _)| *of == dtype).map(|(_, peak)| *peak);
        let peak = known.unwrap_or_else(|| matmul_gflop_per_second(&options.device, form.dtype.into()));
        if known.is_none() {
            peaks.push((dtype, peak));
            if told(Line::Peak { dtype, matmul_gflop_per_second: peak }).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        let mut bench = Bench::load(options, form, peak)?;
        for length in &options.lengths {
            let measured = bench.row(length, &mut told);
            let ControlFlow::Continue(line) = measured else { return Ok(ControlFlow::Break(())) };
            if told(compared(line, &mut firsts)).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// `line` beside the first row of its length.
fn compared(mut line: Line, firsts: &mut Vec<(Length, f64)>) -> Line {
    if let Line::Row(row) = &mut line {
        match firsts.iter().find(|(length, _)| *length == row.length) {
            Some((_, first)) => row.speed_up = Some(first / row.median_step_seconds),
            None => firsts.push((row.length.clone(), row.median_step_seconds)),
        }
    }
    line
}

/// Blocks of `config` whose weights in `form` fit the memory, at least one.
pub fn fitting_blocks(config: &WanConfig, form: Form, device: &Device) -> usize {
    let caps = DeviceCaps::of(device);
    let on_host = caps.kind != DeviceKind::Cube || caps.software;
    let known = available_bytes().filter(|_| on_host).map(|bytes| WEIGHTS_SHARE * bytes as f64);
    let parameters =
        |layers| WanConfig { layers, ..config.clone() }.parameter_count().unwrap_or_default() as f64;
    let (outside, block) = (4.0 * parameters(0), parameters(1) - parameters(0));
    let blocks = (known.unwrap_or(UNKNOWN_BYTES) - outside) / (block * form.bytes_per_value()).max(1.0);
    (blocks as usize).clamp(1, config.layers)
}

/// A loaded network, and how fast it was so far.
struct Bench<'a> {
    options: &'a Options,
    form: Form,
    config: WanConfig,
    blocks: usize,
    load_seconds: f64,
    /// GFLOP/s of the device's matrix product.
    peak: f64,
    /// FLOP/s of the last row.
    reached: Option<f64>,
    /// Absent only while a pass has it.
    model: Option<WanTransformer>,
}

impl<'a> Bench<'a> {
    fn load(options: &'a Options, form: Form, peak: f64) -> Result<Self, ImportError> {
        let config = options.networks.dit_config()?;
        let fitting = || fitting_blocks(&config, form, &options.device);
        let blocks = options.blocks.unwrap_or_else(fitting).clamp(1, config.layers);
        reset_peak();
        let mut model = None;
        let load_seconds = time(1, || {
            model = Some(options.networks.transformer(blocks, form, &options.device));
            assert!(options.device.sync().is_ok(), "the device failed");
        });
        let model = model.transpose()?;
        Ok(Self { options, form, config, blocks, load_seconds: load_seconds[0], peak, reached: None, model })
    }

    /// A row, or why there is none; breaks off where `told` does.
    fn row(
        &mut self,
        length: &Length,
        told: &mut impl FnMut(Line) -> ControlFlow<()>,
    ) -> ControlFlow<(), Line> {
        let (dtype, quant) = (self.form.dtype_name(), self.form.quant_name());
        let left_out = |left_out| {
            let Length { tokens, video, .. } = length.clone();
            Line::LeftOut { tokens, video, dtype, quant, left_out }
        };
        if let Some(reason) = self.refusal(length) {
            return ControlFlow::Continue(left_out(reason));
        }
        let Some(model) = self.model.take() else { return ControlFlow::Break(()) };
        let dtype = DType::from(self.form.dtype);
        match Pass::new(model, length, self.options.camera, dtype, &self.options.device) {
            Ok(pass) => {
                let line = self.measure(&pass, length, told);
                self.model = Some(pass.into_model());
                line.map_continue(|row| Line::Row(Box::new(row)))
            }
            Err(error) => ControlFlow::Continue(left_out(error.to_string())),
        }
    }

    /// Why `length` is too much, if it is.
    fn refusal(&self, length: &Length) -> Option<String> {
        let Options { warmup, runs, forwards, limit, .. } = self.options;
        let bytes = (length.tokens * self.config.ffn_dim * 4) as u64;
        let largest = DeviceCaps::of(&self.options.device).max_binding_bytes;
        if bytes > largest {
            return Some(format!("a tensor of {} MiB, the device binds {}", bytes >> 20, largest >> 20));
        }
        let flops = forward_flops(&self.config, self.blocks, 0, length.tokens, 0);
        let reached = self.reached.unwrap_or(LIKELY_SHARE * self.peak * 1e9);
        let seconds = flops * (forwards * (warmup + runs)) as f64 / reached;
        (seconds > *limit).then(|| format!("{} steps would take about {seconds:.0} s", warmup + runs))
    }

    fn measure(
        &mut self,
        pass: &Pass,
        length: &Length,
        told: &mut impl FnMut(Line) -> ControlFlow<()>,
    ) -> ControlFlow<(), Row> {
        let Options { warmup, runs, forwards, .. } = *self.options;
        let prepare_seconds = self.until_done(|| pass.prepare());
        let mut all = Vec::new();
        for index in 0..warmup + runs {
            let seconds = self.step(pass);
            all.push(seconds);
            told(Line::Step { tokens: length.tokens, index, of: warmup + runs, seconds })?;
        }
        let flops =
            forward_flops(&self.config, self.blocks, pass.camera_blocks, length.tokens, pass.image_rows);
        let row = self.describe(length, pass.camera_blocks, (prepare_seconds, &all), forwards as f64 * flops);
        self.reached = Some(1e12 * row.tflop_per_second);
        ControlFlow::Continue(row)
    }

    /// Seconds of one step, the device's work included.
    fn step(&self, pass: &Pass) -> f64 {
        let mut result = None;
        let seconds = self.until_done(|| {
            for _ in 0..self.options.forwards {
                result = Some(pass.run());
            }
        });
        let finite = result.map(|flow| flow.abs().max().into_scalar::<f32>().is_finite());
        assert!(finite == Some(true), "the network's output is not finite");
        seconds
    }

    /// Seconds of `work`, the device's included.
    fn until_done(&self, mut work: impl FnMut()) -> f64 {
        let seconds = time(1, || {
            work();
            assert!(self.options.device.sync().is_ok(), "the device failed");
        });
        seconds[0]
    }

    /// The row of steps that took `all` seconds, of which each does `flops`.
    fn describe(
        &self,
        length: &Length,
        camera_blocks: usize,
        (prepare_seconds, all): (f64, &[f64]),
        flops: f64,
    ) -> Row {
        let options = self.options;
        let step_seconds = all[options.warmup..].to_vec();
        let median = median_of(&step_seconds);
        let camera = self.config.control_width().is_some() && !options.camera.off;
        let full = median * self.config.layers as f64 / self.blocks as f64;
        let steps = options.steps.unwrap_or_else(|| SamplingDefaults::of(&self.config, None).steps);
        let tflop_per_second = flops / median / 1e12;
        let [longest, shortest] =
            [f64::max, f64::min].map(|pick| step_seconds.iter().copied().fold(median, pick));
        Row {
            model: options.networks.name.clone(),
            length: length.clone(),
            blocks: self.blocks,
            of_blocks: self.config.layers,
            forwards: options.forwards,
            dtype: self.form.dtype_name(),
            quant: self.form.quant_name(),
            camera,
            camera_blocks_kept: if camera { self.blocks - camera_blocks } else { 0 },
            load_seconds: self.load_seconds,
            prepare_seconds,
            first_seconds: all.first().copied().unwrap_or_default(),
            median_step_seconds: median,
            spread: (longest - shortest) / median,
            step_seconds,
            full_depth_step_seconds: full,
            extrapolated: self.blocks < self.config.layers,
            steps,
            total_seconds: steps as f64 * full,
            tflop: flops / 1e12,
            tflop_per_second,
            share_of_peak: 1e3 * tflop_per_second / self.peak,
            peak_memory_bytes: peak_memory_bytes(),
            speed_up: None,
        }
    }
}

/// The middle of `seconds`, the upper one of two; 0 of none.
pub(crate) fn median_of(seconds: &[f64]) -> f64 {
    let mut sorted = seconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
