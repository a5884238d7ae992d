//! Progress on stderr: bars on a terminal, lines elsewhere.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use indicatif::{DecimalBytes, HumanBytes, ProgressBar, ProgressStyle};

use crate::{
    engine::{Event, Phase, Plan},
    report::label,
};

const BYTES: &str = "{prefix:8} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} ETA {eta}";
const COUNT: &str = "{prefix:8} {wide_bar} {pos}/{len} {msg} ETA {eta}";
const SPIN: &str = "{prefix:8} {spinner} {elapsed}";
/// Shortest time between two lines about the same phase.
const PACE: Duration = Duration::from_secs(1);

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
    phase: Option<Phase>,
    /// When the phase began, and when it last had a line.
    begun: Instant,
    told: Option<Instant>,
    /// Seconds of the steps of this phase, and their number.
    steps: (f64, usize),
}

impl Progress {
    /// Silent if `quiet`, bars if stderr is a terminal.
    pub fn new(quiet: bool) -> Self {
        let mode = match (quiet, io::stderr().is_terminal()) {
            (true, _) => Mode::Quiet,
            (false, true) => Mode::Bars,
            (false, false) => Mode::Lines,
        };
        Self {
            mode,
            bar: ProgressBar::hidden(),
            frames: 0,
            done_frames: 0,
            done_steps: 0,
            phase: None,
            begun: Instant::now(),
            told: None,
            steps: (0.0, 0),
        }
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
            Event::Settled { .. } | Event::Preview(_) => {}
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

    /// Whether [`Self::drawing`] is seen.
    pub fn draws(&self) -> bool {
        self.mode == Mode::Bars
    }

    /// Characters that draw, where they are seen.
    pub fn drawing(&self, text: &str) {
        if self.mode == Mode::Bars {
            self.bar.suspend(|| drop(write!(io::stderr(), "{text}")));
        }
    }

    fn start(&mut self, phase: Phase) {
        (self.phase, self.begun, self.told, self.steps) = (Some(phase), Instant::now(), None, (0.0, 0));
        if phase == Phase::Check {
            self.line("checking this device's kernels once ...");
        }
        if self.mode != Mode::Bars {
            return;
        }
        let (length, template) = match phase {
            Phase::Load => (0, BYTES),
            Phase::Check | Phase::Prepare => (0, SPIN),
            Phase::Text | Phase::Image | Phase::Denoise => (0, COUNT),
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
        self.bar.set_message(memory());
        let name = self.phase.map(label).unwrap_or_default();
        self.tell(done == total, || format!("{name} {done}/{total}"));
    }

    fn step(&mut self, index: usize, total: usize, seconds: f64) {
        let done = index + 1;
        self.steps = (self.steps.0 + seconds, self.steps.1 + 1);
        let (pace, memory) = (self.steps.0 / self.steps.1 as f64, memory());
        self.bar.set_length(total as u64);
        self.bar.set_message(format!("{pace:.2} s/step {memory}"));
        self.done_steps = done as u64;
        self.bar.set_position(self.done_steps);
        let eta = pace * (total - total.min(done)) as f64;
        self.tell(true, || format!("step {done}/{total} {seconds:.2} s, ETA {eta:.0} s, {memory}"));
    }

    fn decoded(&mut self, count: usize) {
        self.done_frames += count as u64;
        let (done, frames, memory) = (self.done_frames, self.frames, memory());
        let pace = self.begun.elapsed().as_secs_f64() / done.max(1) as f64;
        self.bar.set_position(done);
        self.bar.set_message(format!("{pace:.2} s/frame {memory}"));
        let eta = pace * frames.saturating_sub(done) as f64;
        self.tell(true, || format!("decode {done}/{frames} frames, ETA {eta:.0} s, {memory}"));
    }

    /// A line where there is no bar: if it `must` be told, the first of a phase, and others at a pace that can be read.
    fn tell(&mut self, must: bool, text: impl FnOnce() -> String) {
        let due = self.told.is_none_or(|told| told.elapsed() >= PACE);
        if self.mode == Mode::Lines && (must || due) {
            self.told = Some(Instant::now());
            self.line(&text());
        }
    }

    fn finish(&mut self, phase: Phase, seconds: f64) {
        self.clear();
        self.line(&format!("{} {seconds:.2} s", label(phase)));
    }
}

/// What this process holds, in words; nothing where it is not measured.
fn memory() -> String {
    crate::memory::resident_bytes().map(|bytes| DecimalBytes(bytes).to_string()).unwrap_or_default()
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
