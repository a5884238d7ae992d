//! `wan compile`: every kernel of a run, compiled ahead of it.

use std::time::Instant;

use serde::Serialize;

use super::{generate::request, print, print_json};
use crate::{
    CancelToken, Failure, Kind,
    args::{CompileArgs, HealthChoice},
    config::Defaults,
    devices::{DeviceChoice, Target, adapters, resolve},
    engine::{self, Event, Request, Trust},
    interrupt,
    kernel_counts::KernelCounts,
    progress::Progress,
    settings::Settings,
};

/// Steps of a rehearsal: solvers of the second order have all their terms from the third on, and two transformers both
/// had their turn.
const STEPS: usize = 3;
/// Words of the prompt of a run for which none is given.
const PROMPT_WORDS: usize = 19;
/// Words of further prompts, short ones and those of which some kernels are made for whole tiles of rows.
const WORDS: [usize; 17] = [1, 2, 3, 4, 7, 8, 15, 16, 31, 62, 63, 64, 127, 128, 254, 255, 511];
/// Fewest of four words each, for every number of tiles of 64 rows up to 512: such kernels also differ by whether rows are
/// even or a multiple of 4.
const FOURS: [usize; 9] = [16, 47, 99, 149, 199, 299, 349, 419, 498];

/// What was compiled.
#[derive(Clone, Debug, Serialize)]
struct Report {
    device: String,
    /// Absent where nothing is compiled.
    tokens: Option<usize>,
    dtype: Option<String>,
    quant: Option<&'static str>,
    kernels_compiled: u64,
    tuned: u64,
    /// Whether kernels were run: the driver compiles them then, and not before.
    run: bool,
    seconds: f64,
    /// What is kept of it for other processes, and by whom.
    kept: &'static str,
}

/// Rehearses the run that the flags describe and prints what was compiled.
pub fn run(args: &CompileArgs, quiet: bool, leave: fn()) -> Result<(), Failure> {
    let mut progress = Progress::new(quiet);
    let (request, others) = prepare(args)?;
    let cancel = CancelToken::default();
    interrupt::install(&cancel, leave)?;
    let report = compile(&request, &others, &cancel, &mut progress)?;
    if args.json { print_json(&report) } else { print(&text(&report)) }
}

/// Everything that can be refused without the model is refused here.
/// With the request come prompts of other lengths, unless one prompt is what is asked for.
fn prepare(args: &CompileArgs) -> Result<(Request, Vec<String>), Failure> {
    let mut settings = Defaults::read()?.under(&args.settings)?;
    request::check_inputs(&mut settings)?;
    let mut prompts = match settings.prompt.take() {
        Some(prompt) => vec![prompt],
        None => word_counts().map(|words| vec!["a"; words].join(" ")).collect(),
    };
    settings.prompt = Some(prompts.remove(0));
    request::check_prompts(&settings)?;
    let choice = settings.device.unwrap_or_default();
    let found = match choice {
        DeviceChoice::Cpu | DeviceChoice::Ndarray => Vec::new(),
        _ => adapters(),
    };
    let device = resolve(choice, &found)?;
    let seed = settings.seed.or(Some(0));
    let steps = Some(settings.steps.unwrap_or(STEPS).min(STEPS));
    let settings = Settings { model: settings.model(), seed, steps, ..settings };
    // Values of kernels that did not run are none.
    let trust = Trust { health: HealthChoice::Warn, ..Trust::default() };
    Ok((Request { settings, device, dump: None, trust, preview: None }, prompts))
}

/// Of prompts that stand for all, the run's first.
fn word_counts() -> impl Iterator<Item = usize> {
    let fours = FOURS.into_iter().flat_map(|fewest| fewest..fewest + 4);
    [PROMPT_WORDS].into_iter().chain(WORDS).chain(fours)
}

fn compile(
    request: &Request,
    others: &[String],
    cancel: &CancelToken,
    progress: &mut Progress,
) -> Result<Report, Failure> {
    let start = Instant::now();
    let before = KernelCounts::now();
    let mut plan = None;
    if !on_host(&request.device) {
        engine::rehearse(request, others, cancel, &mut |event| match event {
            Event::Plan(found) => plan = Some(found),
            // Values mean nothing here, so neither do warnings of them; nor is there a video to show progress of.
            Event::PhaseStarted(_) | Event::PhaseFinished { .. } => progress.show(&event),
            _ => {}
        })?;
    }
    if cancel.is_cancelled() {
        return Err(Failure { kind: Kind::Interrupted, message: "interrupted".to_owned(), hint: None });
    }
    let after = KernelCounts::now();
    Ok(Report {
        device: request.device.describe(),
        tokens: plan.as_ref().map(|plan| plan.tokens),
        dtype: plan.as_ref().map(|plan| plan.dtype.clone()),
        quant: plan.and_then(|plan| plan.quant),
        kernels_compiled: after.compiled - before.compiled,
        tuned: after.tuned - before.tuned,
        run: !on_host(&request.device) && engine::compiles_when_run(&request.device),
        seconds: start.elapsed().as_secs_f64(),
        kept: kept(&request.device),
    })
}

fn on_host(device: &Target) -> bool {
    matches!(device, Target::Cpu | Target::Ndarray)
}

/// What outlives the process. CubeCL stores SPIR-V and what it tuned only with Burn's feature `persistence`, which no
/// build here has, and gives the driver no pipeline cache to fill.
fn kept(device: &Target) -> &'static str {
    match on_host(device) {
        true => "nothing: the host's kernels are part of the program",
        false => "the driver's shader cache, if it has one; kernels are translated for it in every process",
    }
}

fn text(report: &Report) -> String {
    let Report { device, kernels_compiled, tuned, seconds, kept, .. } = report;
    let tokens = report.tokens.map_or_else(String::new, |tokens| format!(", {tokens} tokens"));
    let dtype = report.dtype.as_ref().map_or_else(String::new, |dtype| format!(", {dtype}"));
    let quant = report.quant.map_or_else(String::new, |quant| format!(", {quant}"));
    format!(
        "{device}{tokens}{dtype}{quant}: {kernels_compiled} kernels compiled, {tuned} choices tuned in {seconds:.1} s\n\
         kept: {kept}"
    )
}
