//! Progress on stderr: bars on a terminal, lines elsewhere.

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

use crate::{
    engine::{Event, Phase, Plan},
    report::label,
};

const BYTES: &str = "{prefix:8} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} ETA {eta}";
const COUNT: &str = "{prefix:8} {wide_bar} {pos}/{len} {msg} ETA {eta}";
const SPIN: &str = "{prefix:8} {spinner} {elapsed}";

/// Where progress goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Quiet,
    Lines,
    Bars,
}

/// Shows the events of one run.
pub struct Progress {
    mode: Mode,
    bar: ProgressBar,
    frames: u64,
    done_frames: u64,
    done_steps: u64,
}

impl Progress {
    /// Silent if `quiet`, bars if stderr is a terminal.
    pub fn new(quiet: bool) -> Self {
        let mode = match (quiet, io::stderr().is_terminal()) {
            (true, _) => Mode::Quiet,
            (false, true) => Mode::Bars,
            (false, false) => Mode::Lines,
        };
        Self { mode, bar: ProgressBar::hidden(), frames: 0, done_frames: 0, done_steps: 0 }
    }

    /// A line for people, above any bar; nothing if quiet.
    pub fn line(&self, text: &str) {
        if self.mode != Mode::Quiet {
            self.bar.suspend(|| drop(writeln!(io::stderr(), "{text}")));
        }
    }

    /// Updates bars or prints lines.
    pub fn show(&mut self, event: &Event) {
        match event {
            Event::Settled { .. } => {}
            Event::Plan(plan) => self.plan(plan),
            Event::PhaseStarted(phase) => self.start(*phase),
            Event::Note(text) => self.line(text),
            Event::Loaded { bytes, seconds } => {
                let (bytes, rate) = (HumanBytes(*bytes), HumanBytes((*bytes as f64 / seconds) as u64));
                self.line(&format!("weights {bytes} in {seconds:.2} s, {rate}/s"));
            }
            Event::Encoded { done, total } => self.encoded(*done, *total),
            Event::Step { index, total, seconds } => self.step(*index, *total, *seconds),
            Event::Resumed { step, steps } => {
                self.done_steps = *step as u64;
                self.line(&format!("goes on after step {step} of {steps}"));
            }
            Event::State(_) => {}
            Event::Frames(frames) => self.decoded(frames.len()),
            Event::PhaseFinished { phase, seconds } => self.finish(*phase, *seconds),
            Event::Fallback { finding, device } => {
                let (operation, cause) = (&finding.operation, &finding.cause);
                self.line(&format!("note: {operation} runs without its own kernel on {device}: {cause}"));
            }
            Event::Warning(text) => self.line(&format!("warning: {text}")),
        }
    }

    fn plan(&mut self, plan: &Plan) {
        self.frames = plan.frames as u64;
        self.line(&format!(
            "{}x{}, {} frames at {} fps, {} steps over {} tokens, {}{} on {}",
            plan.width,
            plan.height,
            plan.frames,
            plan.fps,
            plan.steps,
            plan.tokens,
            plan.quant.map(|quant| format!("{quant} weights, ")).unwrap_or_default(),
            plan.dtype,
            plan.device
        ));
    }

    /// Shows that check `index` (from 0) of `total` is under way.
    pub fn check(&mut self, index: usize, total: usize, what: &str) {
        if self.mode == Mode::Bars && index == 0 {
            self.bar = bar(total as u64, "check", COUNT);
        }
        self.bar.set_position(index as u64);
        self.bar.set_message(what.to_owned());
        if self.mode == Mode::Lines {
            self.line(&format!("check {}/{total} {what}", index + 1));
        }
    }

    /// Shows that `done` of `total` bytes are dealt with.
    pub fn bytes(&mut self, name: &'static str, done: u64, total: u64) {
        if self.mode == Mode::Bars {
            if self.bar.length() != Some(total) {
                self.bar = bar(total, name, BYTES);
            }
            self.bar.set_position(done);
        }
    }

    /// A line about a part of the work where there is no bar.
    pub fn part(&self, text: &str) {
        if self.mode == Mode::Lines {
            self.line(text);
        }
    }

    /// Runs `work`, which writes to the terminal, with the bar out of its way.
    pub fn aside<T>(&self, work: impl FnOnce() -> T) -> T {
        self.bar.suspend(work)
    }

    /// Takes the bar away.
    pub fn clear(&mut self) {
        self.bar.finish_and_clear();
        self.bar = ProgressBar::hidden();
    }

    fn start(&mut self, phase: Phase) {
        if phase == Phase::Check {
            self.line("checking this device's kernels once ...");
        }
        if self.mode != Mode::Bars {
            return;
        }
        let (length, template) = match phase {
            Phase::Load => (0, BYTES),
            Phase::Check | Phase::Text => (0, SPIN),
            Phase::Image | Phase::Denoise => (0, COUNT),
            Phase::Decode => (self.frames, COUNT),
        };
        self.bar = bar(length, label(phase), template);
        if phase == Phase::Denoise {
            // A second transformer goes on where the first one stopped, at a pace of its own.
            self.bar.set_position(self.done_steps);
            self.bar.reset_eta();
        }
    }

    fn encoded(&mut self, done: usize, total: usize) {
        self.bar.set_length(total as u64);
        self.bar.set_position(done as u64);
        if self.mode == Mode::Lines {
            self.line(&format!("encode {done}/{total}"));
        }
    }

    fn step(&mut self, index: usize, total: usize, seconds: f64) {
        self.bar.set_length(total as u64);
        self.bar.set_message(format!("{seconds:.2} s/step"));
        self.done_steps = index as u64 + 1;
        self.bar.set_position(self.done_steps);
        if self.mode == Mode::Lines {
            let eta = seconds * (total - total.min(index + 1)) as f64;
            self.line(&format!("step {}/{total} {seconds:.2} s, ETA {eta:.0} s", index + 1));
        }
    }

    fn decoded(&mut self, count: usize) {
        self.done_frames += count as u64;
        self.bar.set_position(self.done_frames);
        if self.mode == Mode::Lines {
            self.line(&format!("decode {}/{} frames", self.done_frames, self.frames));
        }
    }

    fn finish(&mut self, phase: Phase, seconds: f64) {
        self.clear();
        self.line(&format!("{} {seconds:.2} s", label(phase)));
    }
}

fn bar(length: u64, name: &'static str, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(length).with_prefix(name).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
