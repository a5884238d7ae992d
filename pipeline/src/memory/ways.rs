//! Settings that would let a run fit, each tried.

use burn::tensor::FloatDType;
use wan_import::Quant;
use wan_kernels::DeviceKind;

use super::{Offload, Question, VaeTiling, Wish};
use crate::{GenerateRequest, PipelineError, Plan};

/// Settings that are offered.
const OFFERED: usize = 2;
/// Shares of width and height that are tried, in twelfths.
const SIZES: [usize; 6] = [11, 10, 9, 8, 6, 4];

/// The nearest settings under which the run fits, as flags: first those that give the same video, then those that cost
/// some precision, then a shorter or a smaller one.
pub(super) fn nearest(question: &Question<'_>, plan: &Plan) -> Result<Vec<String>, PipelineError> {
    let mut found = Vec::new();
    let changes = wishes(question);
    for (flags, wish) in &changes {
        if found.len() < OFFERED && fits(question, plan, wish)? {
            found.push(flags.clone());
        }
    }
    let strongest = changes.last().cloned();
    let mut shortened = Vec::new();
    for (flags, wish) in [(String::new(), question.wish)].into_iter().chain(strongest) {
        for shorten in [fewer_frames, smaller_size] {
            // The same with more flags is no other way.
            if found.len() < OFFERED
                && let Some(flag) = shorten(question, plan, &wish)?
                && !shortened.contains(&flag)
            {
                found.push(format!("{flag} {flags}").trim().to_owned());
                shortened.push(flag);
            }
        }
    }
    Ok(found)
}

fn fits(question: &Question<'_>, plan: &Plan, wish: &Wish) -> Result<bool, PipelineError> {
    let best = question.best(plan, wish)?;
    Ok(question.room.holds(&best.memory, best.resident))
}

/// Other wishes with the flags that say them, the fewest changes first.
fn wishes(question: &Question<'_>) -> Vec<(String, Wish)> {
    let mut all = vec![(Vec::new(), question.wish)];
    for changes in [placements(question), precisions(question), quants(question)] {
        let changed = all.iter().flat_map(|(flags, wish)| {
            changes.iter().map(|&(flag, change)| ([flags.clone(), vec![flag]].concat(), change(*wish)))
        });
        let changed: Vec<_> = changed.collect();
        all.extend(changed);
    }
    all.sort_by_key(|(flags, _)| flags.len());
    all.into_iter().skip(1).map(|(flags, wish)| (flags.join(" "), wish)).collect()
}

/// A flag, and what it changes.
type Change = (&'static str, fn(Wish) -> Wish);

/// What gives the same video.
fn placements(question: &Question<'_>) -> Vec<Change> {
    let now = question.wish;
    let mut changes: Vec<Change> = Vec::new();
    if matches!(now.offload, Offload::None | Offload::Model) {
        changes.push(("--offload block", |wish| Wish { offload: Offload::Block, ..wish }));
    }
    if now.vae_tiling == VaeTiling::Off {
        changes.push(("--vae-tiling auto", |wish| Wish { vae_tiling: VaeTiling::Auto, ..wish }));
    }
    changes
}

fn precisions(question: &Question<'_>) -> Vec<Change> {
    let (now, machine) = (question.wish, question.machine);
    let mut changes: Vec<Change> = Vec::new();
    if !now.vae_half && machine.half {
        changes.push(("--vae-dtype f16", |wish| Wish { vae_half: true, ..wish }));
    }
    // The usual dtype of files, which the host reads out of them as it is.
    if now.dtype == FloatDType::F32 && machine.kind == DeviceKind::Flex {
        changes.push(("--dtype bf16", |wish| Wish { dtype: FloatDType::BF16, ..wish }));
    }
    if now.dtype == FloatDType::F32 && machine.half {
        changes.push(("--dtype f16", |wish| Wish { dtype: FloatDType::F16, ..wish }));
    }
    changes
}

fn quants(question: &Question<'_>) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    if question.checkpoint.dit.quant().is_some() {
        return changes;
    }
    if question.wish.quant.is_none() {
        changes.push(("--quant int8", |wish| Wish { quant: Some(Quant::Int8), ..wish }));
    }
    if question.wish.quant != Some(Quant::Nf4) {
        changes.push(("--quant nf4", |wish| Wish { quant: Some(Quant::Nf4), ..wish }));
    }
    changes
}

/// The longest video that fits, if it is shorter than the one asked for; a camera path that is cut stays as it is.
fn fewer_frames(question: &Question<'_>, plan: &Plan, wish: &Wish) -> Result<Option<String>, PipelineError> {
    let step = question.checkpoint.vae_config.temporal_factor();
    let (mut low, mut high) = (0, (plan.frames - 1) / step);
    let holds = |groups: usize| {
        let request =
            GenerateRequest { frames: Some(groups * step + 1), noise: None, ..question.request.clone() };
        fits(question, &request.plan(question.checkpoint)?, wish)
    };
    if high == 0 || !holds(0)? {
        return Ok(None);
    }
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if holds(middle)? { low = middle } else { high = middle }
    }
    Ok(Some(format!("--frames {}", low * step + 1)))
}

/// The largest of some smaller sizes that fits.
fn smaller_size(question: &Question<'_>, plan: &Plan, wish: &Wish) -> Result<Option<String>, PipelineError> {
    let strides = question.checkpoint.dit_config.strides();
    for part in SIZES {
        let (height, width) = strides.nearest_size(plan.height * part / 12, plan.width * part / 12);
        let size = Some((width, height));
        let request = GenerateRequest { size, area: None, noise: None, ..question.request.clone() };
        if fits(question, &request.plan(question.checkpoint)?, wish)? {
            return Ok(Some(format!("--size {width}x{height}")));
        }
    }
    Ok(None)
}
