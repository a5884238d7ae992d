//! `wan generate`: checks, the engine's run, the file.

mod preview;
pub(super) mod request;

pub(super) use request::{check_dump, check_inputs};

use std::{collections::BTreeSet, time::Instant};

use super::{plan, print, print_json, pull};
use crate::{
    CancelToken, Failure, Kind,
    args::{GenerateArgs, InlineChoice, PreviewArgs},
    crash,
    devices::{DeviceChoice, Devices, Target},
    engine::{
        self, EngineError, Event, Record, Request, Trust,
        runs::{self, Saved},
    },
    interrupt,
    media::{Format, FrameWriter, MediaError, Output},
    metadata::{Metadata, ModelFile},
    progress::Progress,
    report::{Recorder, Report},
    settings::Settings,
};
use preview::Previewed;

/// Makes one video and prints its path, or the report.
pub fn run(args: GenerateArgs, quiet: bool, leave: fn()) -> Result<(), Failure> {
    if args.dry_run {
        return plan::tell(&args, None, quiet);
    }
    let progress = Progress::new(quiet);
    let job = prepare(&args, &progress)?;
    carry_out(job, progress, args.json, leave)
}

/// Makes the video of `job` and prints its path, or the report.
pub(super) fn carry_out(
    mut job: Job,
    mut progress: Progress,
    json: bool,
    leave: fn(),
) -> Result<(), Failure> {
    let cancel = CancelToken::default();
    interrupt::install(&cancel, leave)?;
    let model = job.request.settings.model.take();
    job.request.settings.model = model.map(|model| pull::local(model, &mut progress, &cancel)).transpose()?;
    let report = drive(&job, progress, &cancel, &mut engine::run)?;
    if json { print_json(&report) } else { print(&report.output) }
}

/// A checked request and where its frames go.
pub struct Job {
    pub request: Request,
    pub output: Output,
    pub overwrite: bool,
    /// The settings as they were given, for the files to carry beside those used; `None` leaves both out.
    pub given: Option<Settings>,
    /// What the clip says that this run repeats.
    pub from: Option<Metadata>,
    /// How the terminal draws previews.
    pub inline: InlineChoice,
}

/// Everything that can be refused without the model is refused here.
fn prepare(args: &GenerateArgs, progress: &Progress) -> Result<Job, Failure> {
    let from = args.from.as_deref().map(Metadata::of).transpose()?;
    let given = request::given(args, from.as_ref())?;
    check_dump(args.dump.as_deref())?;
    let output = |seed| {
        let output = request::output(args, seed)?;
        output.check(given.frames, args.overwrite)?;
        Ok(output)
    };
    let mut job = Job::new(given.clone(), &output, &mut Devices::default())?;
    job.request.dump = args.dump.clone();
    job.tell_choices(&given, progress);
    let job = Job { given: job.given.filter(|_| !args.no_metadata), overwrite: args.overwrite, from, ..job };
    Ok(job.previewed(&args.preview).kept_as(Trust {
        save_every: args.trust.save_every(),
        health: args.trust.health(),
        ..Trust::default()
    }))
}

/// The device of the flag; says which one `auto` takes.
pub(super) fn target(choice: DeviceChoice, progress: &Progress) -> Result<Target, Failure> {
    let device = Devices::default().resolve(choice)?;
    tell_device(choice, &device, progress);
    Ok(device)
}

/// The request of a job that is planned alone: without a prompt if none is given, and `without_model` if another stands
/// in for it.
pub(super) fn planned(args: &GenerateArgs, without_model: bool, quiet: bool) -> Result<Request, Failure> {
    let from = args.from.as_deref().map(Metadata::of).transpose()?;
    let mut settings = request::given(args, from.as_ref())?;
    if !without_model {
        check_inputs(&mut settings)?;
    }
    if settings.prompt.is_some() {
        request::check_prompts(&settings)?;
    }
    let device = target(settings.device.unwrap_or_default(), &Progress::new(quiet))?;
    let trust = Trust {
        save_every: args.trust.save_every(),
        health: args.trust.health(),
        record: None,
        resume: None,
    };
    let settings = Settings { model: settings.model(), ..settings };
    Ok(Request { settings, device, dump: None, trust, preview: None })
}

fn tell_device(choice: DeviceChoice, device: &Target, progress: &Progress) {
    if choice == DeviceChoice::Auto {
        progress.line(&format!("device: auto takes {}", device.describe()));
    }
}

/// The engine's signature: [`engine::run`], or a stand-in.
pub type Engine<'a> =
    dyn FnMut(&Request, &CancelToken, &mut dyn FnMut(Event)) -> Result<(), EngineError> + 'a;

/// Runs `engine` on `job` and writes its frames. Nothing is left under the output's name unless this succeeds.
pub fn run_with(
    job: &Job,
    quiet: bool,
    cancel: &CancelToken,
    engine: &mut Engine<'_>,
) -> Result<Report, Failure> {
    drive(job, Progress::new(quiet), cancel, engine)
}

/// [`run_with`], with the progress of a command under way.
pub(super) fn drive(
    job: &Job,
    mut progress: Progress,
    cancel: &CancelToken,
    engine: &mut Engine<'_>,
) -> Result<Report, Failure> {
    let start = Instant::now();
    let mut recorder = Recorder::default();
    let mut sink = Sink { job, comment: None, writer: None, failure: None, seconds: 0.0 };
    let mut kept: Option<Saved> = None;
    let mut previewed = Previewed::new(job, &progress);
    let result = crash::guard(|| {
        let mut take = |event| {
            progress.show(&event);
            recorder.note(&event);
            sink.take(&event, cancel);
            for warning in job.warnings(&event).map(Event::Warning) {
                progress.show(&warning);
                recorder.note(&warning);
            }
            match event {
                Event::State(saved) => kept = Some(saved),
                Event::Preview(picture) => previewed.show(&picture, &progress),
                _ => {}
            }
        };
        engine(&job.request, cancel, &mut take).map_err(Failure::from)
    });
    let encode = finish(result, sink, cancel).map_err(|failure| {
        if failure.kind != Kind::Interrupted && job.is_barely_begun(kept.as_ref()) {
            // It would fail again.
            discard(&mut kept);
        }
        with_state(failure, kept.as_ref())
    })?;
    previewed.remove();
    discard(&mut kept);
    let output = job.output.path().display().to_string();
    let seed = job.request.settings.seed.unwrap_or_default();
    let report = recorder.report(output, seed, encode, start.elapsed().as_secs_f64());
    report.ok_or_else(|| Failure::failed("the engine announced no plan"))
}

/// Completes the file if the engine came to its end; the seconds of all writing.
fn finish(result: Result<(), Failure>, mut sink: Sink<'_>, cancel: &CancelToken) -> Result<f64, Failure> {
    // A failed write stops the engine through the token, so it is the cause of the engine's error.
    if let Some(failure) = sink.failure.take() {
        return Err(failure.into());
    }
    result?;
    if cancel.is_cancelled() {
        return Err(Failure { kind: Kind::Interrupted, message: "interrupted".to_owned(), hint: None });
    }
    Ok(sink.finish()?)
}

/// What is left of a finished run goes with the oldest ones.
fn discard(kept: &mut Option<Saved>) {
    if let Some(folder) = kept.take().as_ref().and_then(|saved| saved.path.parent()) {
        let _ = runs::discard(folder);
    }
}

/// Says what is kept of a run that ended too early, and how it goes on.
fn with_state(failure: Failure, kept: Option<&Saved>) -> Failure {
    let Some(Saved { path, step, steps, .. }) = kept else { return failure };
    let Failure { kind, message, hint } = failure;
    let message = format!("{message}; step {step} of {steps} is kept in {}", path.display());
    let go_on = "wan resume latest".to_owned();
    let hint = hint.map_or(go_on.clone(), |hint| format!("{hint}; then: {go_on}"));
    Failure { kind, message, hint: Some(hint) }
}

impl Job {
    /// A job of the settings that were given, `output` being where its frames go by its seed. Replaces nothing.
    pub(super) fn new(
        mut given: Settings,
        output: &dyn Fn(u64) -> Result<Output, Failure>,
        devices: &mut Devices,
    ) -> Result<Self, Failure> {
        check_inputs(&mut given)?;
        let seed = given.seed.unwrap_or_else(request::random_seed);
        let output = output(seed)?;
        request::check_prompts(&given)?;
        let device = devices.resolve(given.device.unwrap_or_default())?;
        let settings = Settings { model: given.model(), seed: Some(seed), ..given.clone() };
        let request = Request { settings, device, dump: None, trust: Trust::default(), preview: None };
        Ok(Self {
            request,
            output,
            overwrite: false,
            given: Some(given),
            from: None,
            inline: InlineChoice::None,
        })
    }

    /// With pictures of it while it is made.
    pub(super) fn previewed(mut self, args: &PreviewArgs) -> Self {
        self.request.preview = args.request();
        Self { inline: args.inline(), ..self }
    }

    /// Its state says what is needed to go on.
    pub(super) fn kept_as(mut self, trust: Trust) -> Self {
        let Self { output, overwrite, given, .. } = &self;
        let record = Record { output: output.path(), overwrite: *overwrite, given: given.clone() };
        self.request.trust = Trust { record: Some(record), ..trust };
        self
    }

    /// Whether what is `kept` is this run's, and no more than what it was asked for.
    fn is_barely_begun(&self, kept: Option<&Saved>) -> bool {
        self.request.trust.resume.is_none() && kept.is_some_and(|saved| !saved.encoded)
    }

    /// What was chosen where nothing was given.
    fn tell_choices(&self, given: &Settings, progress: &Progress) {
        let Request { settings, device, .. } = &self.request;
        tell_device(given.device.unwrap_or_default(), device, progress);
        if given.model.is_none() && settings.model.is_some() {
            progress.line("model: the built-in demo, a shape in motion; --model DIR takes another");
        }
        if let (None, None, Some(seed)) = (given.seed, &given.noise, settings.seed) {
            progress.line(&format!("seed: {seed}"));
        }
    }

    /// Components that are not those of the run which this one repeats.
    fn warnings(&self, event: &Event) -> impl Iterator<Item = String> {
        let other = match (event, &self.from) {
            (Event::Settled { models, .. }, Some(from)) => from.other_components(models),
            _ => BTreeSet::new(),
        };
        other
            .into_iter()
            .map(|component| format!("the {component} is not the one that the clip was made with"))
    }

    /// What the files carry.
    fn comment(&self, settings: &Settings, models: &[ModelFile]) -> serde_json::Result<Option<String>> {
        let Some(given) = &self.given else { return Ok(None) };
        let metadata = Metadata::new(settings.clone(), given.clone(), models.to_vec());
        Ok(Some(metadata.to_json()?.to_string()))
    }
}

/// Writes frames as they come.
struct Sink<'a> {
    job: &'a Job,
    /// What the files carry.
    comment: Option<String>,
    writer: Option<Box<dyn FrameWriter>>,
    failure: Option<MediaError>,
    /// Time spent writing.
    seconds: f64,
}

impl Sink<'_> {
    fn take(&mut self, event: &Event, cancel: &CancelToken) {
        let start = Instant::now();
        let result = self.write(event);
        if matches!(event, Event::Plan(_) | Event::Frames(_)) {
            self.seconds += start.elapsed().as_secs_f64();
        }
        if let Err(error) = result {
            self.failure.get_or_insert(error);
            cancel.cancel();
        }
    }

    fn write(&mut self, event: &Event) -> Result<(), MediaError> {
        match event {
            Event::Settled { settings, models } => {
                // A path that is no UTF-8 is refused before.
                self.comment = self.job.comment(settings, models).unwrap_or_default();
            }
            Event::Plan(plan) => {
                let (width, height) = (plan.width as u32, plan.height as u32);
                let format = Format { width, height, fps: plan.fps, frames: plan.frames };
                self.writer =
                    Some(self.job.output.open(format, self.job.overwrite, self.comment.as_deref())?);
            }
            Event::Frames(frames) => {
                let writer = self.writer.as_mut().ok_or(MediaError::Empty)?;
                frames.iter().try_for_each(|frame| writer.push(frame))?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Completes the file; returns the seconds of all writing.
    fn finish(mut self) -> Result<f64, MediaError> {
        let start = Instant::now();
        self.writer.take().ok_or(MediaError::Empty)?.finish()?;
        Ok(self.seconds + start.elapsed().as_secs_f64())
    }
}
