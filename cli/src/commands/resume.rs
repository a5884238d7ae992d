//! `wan resume`: a run that was left, from there to its video.

use super::generate::{Job, carry_out, check_dump, check_inputs, target};
use crate::{
    Failure,
    args::{InlineChoice, ResumeArgs, absolute},
    engine::{
        Record, Request, Trust,
        runs::{Resumed, read_header},
    },
    media::Output,
    progress::Progress,
    settings::Settings,
};

/// Goes on with a run and prints its video's path, or the report.
pub fn run(args: &ResumeArgs, quiet: bool, leave: fn()) -> Result<(), Failure> {
    let progress = Progress::new(quiet);
    let job = prepare(args, &progress)?;
    carry_out(job, progress, args.json, leave)
}

fn prepare(args: &ResumeArgs, progress: &Progress) -> Result<Job, Failure> {
    let state = Resumed::find(&args.run)?;
    let state = std::path::absolute(&state).unwrap_or(state);
    let header = read_header(&state)?;
    let given = args.output.as_deref().map(absolute);
    // Paths of a run are what they were in its folder.
    let here = std::env::current_dir().is_ok_and(|folder| folder == header.folder);
    if !here {
        std::env::set_current_dir(&header.folder).map_err(|error| {
            let message = format!("the folder in which the run began, {}: {error}", header.folder.display());
            Failure::usage(message, "make it again: paths of the run begin there")
        })?;
    }
    let kept = if here { header.output.clone() } else { header.folder.join(&header.output) };
    let output = Output::parse(&given.unwrap_or(kept))?;
    let overwrite = args.overwrite || header.overwrite;
    let mut settings = Settings {
        device: args.device.or(header.settings.device),
        dtype: args.dtype.or(header.settings.dtype),
        vae_dtype: args.vae_dtype.or(header.settings.vae_dtype),
        offload: args.offload.or(header.settings.offload),
        ..header.settings
    };
    check_inputs(&mut settings)?;
    check_dump(header.dump.as_deref())?;
    output.check(Some(header.frames), overwrite)?;
    let device = target(settings.device.unwrap_or_default(), progress)?;
    let record = Record { output: output.path(), overwrite, given: header.given.clone() };
    let trust = Trust {
        save_every: args.trust.save_every(),
        health: args.trust.health(),
        record: Some(record),
        resume: Some(state),
    };
    let request = Request { settings, device, dump: header.dump, trust, preview: None };
    let job = Job { request, output, overwrite, given: header.given, from: None, inline: InlineChoice::None };
    Ok(job.previewed(&args.preview))
}
