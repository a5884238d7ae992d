//! A run's state: what it says of the run, and what a run goes on from.

use std::path::PathBuf;

use burn::tensor::{DType, FloatDType, TensorData};
use sha2::{Digest, Sha256};
use wan_import::FileHash;
use wan_model::VaeMemory;
use wan_pipeline::{HealthCheck, Plan, Start};

use super::{
    Request,
    runs::{self, Decoded, Header, Keeper, Resumed, RunError, SaveEvery, Saved},
};
use crate::{args::HealthChoice, settings::Settings};

/// What is done so that nothing is lost and nothing goes wrong unseen.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    pub save_every: SaveEvery,
    pub health: HealthChoice,
    /// Where the video goes, for the state to say; without it no state is written.
    pub record: Option<Record>,
    /// The state to go on from.
    pub resume: Option<PathBuf>,
}

/// What the command needs to finish a run, beside its settings.
#[derive(Clone, Debug)]
pub struct Record {
    pub output: PathBuf,
    pub overwrite: bool,
    /// The settings as they were given, if files are to carry them.
    pub given: Option<Settings>,
}

/// A run's beginning: anew, or where it was left.
#[derive(Default)]
pub(super) struct Beginning {
    pub keeper: Option<Keeper>,
    pub start: Option<Start>,
    pub decoded: Option<Decoded>,
    /// What a dump had by then.
    pub dumped: Vec<(String, TensorData)>,
    pub saved: Option<Saved>,
    /// What is different from the run that was left.
    pub notes: Vec<String>,
}

/// How a state names tensors that only a dump needs.
pub(super) const DUMPED: &str = "dump.";

impl From<HealthChoice> for HealthCheck {
    fn from(choice: HealthChoice) -> Self {
        match choice {
            HealthChoice::Off => Self::Off,
            HealthChoice::Warn => Self::Warn,
            HealthChoice::Stop => Self::Stop,
        }
    }
}

impl Beginning {
    /// Refuses to go on with other files or another plan than before.
    pub fn new(
        request: &Request,
        plan: &Plan,
        files: &[FileHash],
        (dtype, vae_memory): (FloatDType, VaeMemory),
        resumed: Option<Resumed>,
    ) -> Result<Self, RunError> {
        let every = request.trust.save_every;
        let header = request
            .trust
            .record
            .as_ref()
            .map(|record| header(request, record, plan, files, (dtype, vae_memory)));
        let header = header.transpose()?;
        let Some(resumed) = resumed else {
            let header = header.filter(|_| every != SaveEvery::Never);
            let mut keeper = header.map(|header| Keeper::new(every, header));
            let saved = keeper.as_mut().map(Keeper::begin).transpose()?;
            return Ok(Self { keeper, saved, ..Self::default() });
        };
        resumed.check_files(files)?;
        let notes =
            header.as_ref().map(|now| differences(&resumed.header, now)).transpose()?.unwrap_or_default();
        let Resumed { header: before, mut snapshot, run, decoded } = resumed;
        let decoded = decoded.filter(|_| header.as_ref().is_some_and(|now| now.decoder == before.decoder));
        let saved = run.as_ref().map(|run| Saved::new(run.state(), &before));
        let extra = snapshot.tensors.extract_if(.., |name, _| name.starts_with(DUMPED));
        let dumped = extra.map(|(name, data)| (name[DUMPED.len()..].to_owned(), data)).collect();
        let decoder = decoded.as_ref().map(Decoded::start).transpose()?;
        let start = before.encoded.then_some(Start { snapshot, decoder });
        let Header { started, encoded, step, .. } = before;
        let header = header.map(|now| Header { started, encoded, step, ..now });
        let keeper = header.map(|header| Keeper::resumed(every, header, run, decoded.clone()));
        Ok(Self { keeper, start, decoded, dumped, saved, notes })
    }
}

fn header(
    request: &Request,
    record: &Record,
    plan: &Plan,
    files: &[FileHash],
    (dtype, vae_memory): (FloatDType, VaeMemory),
) -> Result<Header, RunError> {
    let now = humantime::format_rfc3339_millis(std::time::SystemTime::now()).to_string();
    Ok(Header {
        format: Header::FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started: now.clone(),
        saved: now,
        folder: std::env::current_dir().unwrap_or_default(),
        settings: request.settings.clone(),
        given: record.given.clone(),
        output: record.output.clone(),
        overwrite: record.overwrite,
        dump: request.dump.clone(),
        encoded: false,
        step: 0,
        steps: plan.schedule.steps(),
        width: plan.width,
        height: plan.height,
        frames: plan.frames,
        device: request.device.describe(),
        driver: request.device.driver(),
        dtype: DType::from(dtype).name().to_owned(),
        decoder: format!("{vae_memory:?} on {}", request.device.describe()),
        plan: digest(plan),
        weights: files.to_vec(),
        inputs: runs::hash_inputs(&request.settings)?,
        sha256: String::new(),
    })
}

/// Checksum of all that decides on the latents, but for files, device and precision.
fn digest(plan: &Plan) -> String {
    let Plan {
        task,
        prompt,
        negative,
        frames,
        solver,
        rules,
        schedule,
        guidance,
        boundary,
        latent,
        seed,
        ..
    } = plan;
    let text = format!("{task:?} {prompt:?} {negative:?} {frames} {solver:?} {rules:?}");
    let more = format!("{schedule:?} {guidance:?} {boundary:?} {:?} {seed}", latent.dims());
    format!("{:x}", Sha256::digest(text + &more))
}

/// What is other than it was; an error if that makes it another run.
fn differences(before: &Header, now: &Header) -> Result<Vec<String>, RunError> {
    if before.plan != now.plan {
        let what = "a default in the model's folder, or the version of wan with its defaults,".to_owned();
        return Err(RunError::Changed { what });
    }
    let on = |header: &Header| format!("wan {} on {} in {}", header.version, header.device, header.dtype);
    let same = on(before) == on(now) && before.driver == now.driver;
    let note = || format!("it began with {}, and goes on with {}: bits may differ", on(before), on(now));
    Ok(if same { Vec::new() } else { vec![note()] })
}
