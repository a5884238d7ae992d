//! `wan profile`: where the time of a forward pass goes.

use wan_benches::profile::{Line, Options, Part, Profile, run as measure};

use super::bench::{Teller, guarded, networks};
use crate::{Failure, args::ProfileArgs};

/// Lengths are taken apart one by one; this one unless told otherwise.
const TOKENS: usize = 780;

/// Takes passes apart at each length that the flags name.
pub fn run(args: &ProfileArgs, quiet: bool, leave: fn()) -> Result<(), Failure> {
    let mut teller = Teller::new(&args.common, quiet, leave)?;
    let opened = networks::open(&args.pass.networks)?;
    let forms = networks::forms(args.pass.dtype, &[args.quant], &teller)?;
    let lengths = networks::lengths(&args.pass, &opened.config, &[TOKENS])?;
    teller.heading();
    for (form, length) in forms.into_iter().flat_map(|form| lengths.iter().map(move |length| (form, length)))
    {
        let options = Options {
            device: teller.device.clone(),
            networks: opened.networks.clone(),
            blocks: args.pass.blocks,
            form,
            length: length.clone(),
            camera: networks::camera(&args.pass),
            warmup: args.runs.warmup,
            runs: args.runs.runs,
        };
        let told = guarded(|| {
            measure(&options, |line| match &line {
                Line::Pass { index, of, seconds } => {
                    teller.whisper(|| format!("pass {} of {of} took {seconds:.2} s", index + 1))
                }
                Line::Profile(_) => teller.tell(&line, text),
            })
        })?;
        if told.is_break() {
            return teller.finish(told);
        }
    }
    teller.finish(std::ops::ControlFlow::Continue(()))
}

fn text(line: &Line) -> String {
    match line {
        Line::Profile(profile) => {
            heading(profile) + &profile.parts.iter().map(part).collect::<String>() + &blocks(profile)
        }
        Line::Pass { .. } => String::new(),
    }
}

fn heading(profile: &Profile) -> String {
    format!(
        "{}, {} tokens ({}), {} of {} blocks, {} forward, {}, quant {}{}\n\
         {:.3} s a pass; {:.3} s taken apart, {:+.1} % for waiting at the ends of parts\n",
        profile.model,
        profile.length.tokens,
        profile.length.video,
        profile.blocks,
        profile.of_blocks,
        profile.forwards,
        profile.dtype,
        profile.quant,
        match (profile.camera, profile.camera_blocks_kept) {
            (true, kept) => format!(", camera, {kept} blocks' kept"),
            (false, _) => String::new(),
        },
        profile.seconds,
        profile.profiled_seconds,
        profile.overhead * 100.0,
    )
}

fn part(part: &Part) -> String {
    let indent = if part.of.is_some() { "  " } else { "" };
    let rate = part.tflop_per_second.map_or_else(String::new, |rate| format!("  {rate:8.3} TFLOP/s"));
    let name = format!("{indent}{}", part.name);
    format!("{name:34} {:10.4} s  {:5.1} %{rate}\n", part.seconds, part.share * 100.0)
}

fn blocks(profile: &Profile) -> String {
    let each: Vec<String> = profile.block_seconds.iter().map(|seconds| format!("{seconds:.3}")).collect();
    format!("blocks, s: {}", each.join(" "))
}
