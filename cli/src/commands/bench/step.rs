//! `wan bench step`.

use std::ops::ControlFlow;

use wan_benches::step::{Line, Options, Row, run as measure};

use super::{Teller, gigabytes, guarded, networks};
use crate::{Failure, args::StepArgs};

/// Lengths of published measurements: 2, 3, 6 and 11 latent frames of 240x416, then the true ones of 41 frames of
/// 464x832 and 480x832, and of 81.
const LENGTHS: [usize; 7] = [780, 1_170, 2_340, 4_290, 16_588, 17_160, 32_760];

pub(super) fn run(args: &StepArgs, teller: &mut Teller) -> Result<ControlFlow<()>, Failure> {
    let opened = networks::open(&args.pass.networks)?;
    let options = Options {
        device: teller.device.clone(),
        networks: opened.networks.clone(),
        blocks: args.pass.blocks,
        forms: networks::forms(args.pass.dtype, &args.quant, teller)?,
        lengths: networks::lengths(&args.pass, &opened.config, &LENGTHS)?,
        camera: networks::camera(&args.pass),
        forwards: args.forwards,
        steps: args.steps,
        warmup: args.runs.warmup,
        runs: args.runs.runs,
        limit: args.limit,
    };
    teller.heading();
    guarded(|| {
        measure(&options, |line| match &line {
            Line::Step { tokens, index, of, seconds } => {
                teller.whisper(|| format!("{tokens} tokens: step {} of {of} took {seconds:.2} s", index + 1))
            }
            _ => teller.tell(&line, text),
        })
    })
}

const HEADER: &str = "tokens  video                  blocks  forwards  dtype quant   s/step  spread  \
    prepare    first  full depth       total    memory  TFLOP/s  of peak  speed-up";

fn text(line: &Line) -> String {
    match line {
        Line::Peak { dtype, matmul_gflop_per_second } => {
            format!("{dtype}: matrix product {matmul_gflop_per_second:.1} GFLOP/s\n{HEADER}")
        }
        Line::LeftOut { tokens, video, dtype, quant, left_out } => {
            format!("{tokens:6}  {video:24} {dtype} {quant}  left out: {left_out}")
        }
        Line::Row(row) => row_text(row),
        Line::Step { .. } => String::new(),
    }
}

fn row_text(row: &Row) -> String {
    let Row { blocks, of_blocks, .. } = row;
    let mark = if row.extrapolated { "~" } else { " " };
    let full = format!("{mark}{:.2} s", row.full_depth_step_seconds);
    let total = format!("{mark}{:.1} min", row.total_seconds / 60.0);
    format!(
        "{:6}  {:22} {:>6}  {:8}  {:5} {:5} {:8.2} {:5.1} %  {:7.2}  {:7.2}  {full:>10}  {total:>10}  {:>8}  {:7.3}  {:5.1} %  {}",
        row.length.tokens,
        row.length.video,
        format!("{blocks}/{of_blocks}"),
        row.forwards,
        row.dtype,
        row.quant,
        row.median_step_seconds,
        row.spread * 100.0,
        row.prepare_seconds,
        row.first_seconds,
        gigabytes(row.peak_memory_bytes),
        row.tflop_per_second,
        row.share_of_peak * 100.0,
        row.speed_up.map_or_else(|| "1".to_owned(), |factor| format!("{factor:.2}x")),
    )
}
