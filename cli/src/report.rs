//! What `--json` says about a run.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    engine::{Event, Phase, Plan},
    kernel_counts::KernelCounts,
    verdicts::Finding,
};

/// One JSON object; times in seconds.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub output: String,
    pub seed: u64,
    pub width: usize,
    pub height: usize,
    pub frames: usize,
    pub fps: u32,
    pub steps: usize,
    pub tokens: usize,
    pub device: String,
    pub dtype: String,
    pub quant: Option<&'static str>,
    /// `check` if the device's kernels were checked, `load`, `text`, `image` if there are any, `prepare` (what all
    /// steps share, and on an adapter their kernels), `denoise`, `decode`, `encode`, and `total` of the whole command.
    pub seconds: BTreeMap<&'static str, f64>,
    pub step_seconds: Vec<f64>,
    /// Of the transformers' weights, in their files and a second of loading.
    pub loaded_bytes: u64,
    pub loaded_bytes_per_second: Option<f64>,
    /// Kernels that the process translated and handed to the driver, which compiles them or knows them from earlier
    /// processes, and choices between kernels that it measured; none on a CPU.
    pub kernels_compiled: u64,
    pub tuned: u64,
    /// Operations that ran without their own kernels, and why.
    pub fallbacks: Vec<Finding>,
    /// What was decided for the user.
    pub notes: Vec<String>,
    /// What may have made the video wrong.
    pub warnings: Vec<String>,
    /// `null` where it is not measured.
    pub peak_memory_bytes: Option<u64>,
    /// The same as it was planned.
    pub planned_memory_bytes: u64,
}

/// Collects the numbers of a run from its events.
#[derive(Debug, Default)]
pub struct Recorder {
    plan: Option<Plan>,
    seconds: BTreeMap<&'static str, f64>,
    steps: Vec<f64>,
    loaded: (u64, f64),
    fallbacks: Vec<Finding>,
    notes: Vec<String>,
    warnings: Vec<String>,
}

impl Recorder {
    /// Notes what `event` tells.
    pub fn note(&mut self, event: &Event) {
        match event {
            Event::Plan(plan) => self.plan = Some(plan.clone()),
            Event::Step { seconds, .. } => self.steps.push(*seconds),
            Event::Loaded { bytes, seconds } => {
                self.loaded = (self.loaded.0 + bytes, self.loaded.1 + seconds);
            }
            Event::PhaseFinished { phase, seconds } => self.add(label(*phase), *seconds),
            Event::Fallback { finding, .. } => self.fallbacks.push(finding.clone()),
            Event::Note(text) => self.notes.push(text.clone()),
            Event::Warning(text) => self.warnings.push(text.clone()),
            _ => {}
        }
    }

    /// Adds to the seconds of `phase`.
    pub fn add(&mut self, phase: &'static str, seconds: f64) {
        *self.seconds.entry(phase).or_default() += seconds;
    }

    /// The report, `None` if the run never had a plan.
    pub fn report(mut self, output: String, seed: u64, encode: f64, total: f64) -> Option<Report> {
        let plan = self.plan.take()?;
        let kernels = KernelCounts::now();
        // Frames are written while they are decoded.
        self.add("decode", -encode);
        self.add("encode", encode);
        self.add("total", total);
        Some(Report {
            output,
            seed,
            width: plan.width,
            height: plan.height,
            frames: plan.frames,
            fps: plan.fps,
            steps: plan.steps,
            tokens: plan.tokens,
            device: plan.device,
            dtype: plan.dtype,
            quant: plan.quant,
            seconds: self.seconds,
            step_seconds: self.steps,
            loaded_bytes: self.loaded.0,
            loaded_bytes_per_second: (self.loaded.1 > 0.0).then(|| self.loaded.0 as f64 / self.loaded.1),
            kernels_compiled: kernels.compiled,
            tuned: kernels.tuned,
            fallbacks: self.fallbacks,
            notes: self.notes,
            warnings: self.warnings,
            peak_memory_bytes: crate::memory::peak_bytes(),
            planned_memory_bytes: plan.planned_bytes,
        })
    }
}

/// The name of a phase in reports and on the terminal.
pub fn label(phase: Phase) -> &'static str {
    match phase {
        Phase::Check => "check",
        Phase::Load => "load",
        Phase::Text => "text",
        Phase::Image => "image",
        Phase::Prepare => "prepare",
        Phase::Denoise => "denoise",
        Phase::Decode => "decode",
    }
}
