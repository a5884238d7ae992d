//! Where the time of one forward pass goes, by the spans that the model's parts open.

mod recorder;

use std::{collections::BTreeMap, ops::ControlFlow};

use burn::{prelude::*, tensor::DType};
use serde::Serialize;
use wan_import::ImportError;
use wan_model::WanConfig;

use crate::{
    BlockFlops, Camera, Form, Length, Networks, Pass,
    step::{fitting_blocks, median_of},
    time,
};
use recorder::{Recorder, Span};

/// The span around one block.
const BLOCK: &str = "block";

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    pub device: Device,
    pub networks: Networks,
    /// Of the transformer's blocks the first so many; as many as fit the memory unless given.
    pub blocks: Option<usize>,
    pub form: Form,
    pub length: Length,
    pub camera: Camera,
    pub warmup: usize,
    pub runs: usize,
}

/// One pass, and all it consists of.
#[derive(Clone, Debug, Serialize)]
pub struct Profile {
    pub model: String,
    #[serde(flatten)]
    pub length: Length,
    /// Measured, and of the whole transformer.
    pub blocks: usize,
    pub of_blocks: usize,
    pub forwards: usize,
    pub dtype: &'static str,
    pub quant: &'static str,
    pub camera: bool,
    /// Blocks whose camera scale and shift were computed before the pass.
    pub camera_blocks_kept: usize,
    /// Median of a pass that waits for the device at the end only.
    pub seconds: f64,
    /// Mean of the passes that are taken apart, which wait for the device at the ends of every part.
    pub profiled_seconds: f64,
    /// The latter over the former, less one.
    pub overhead: f64,
    /// The parts of all blocks together and those outside of them, in the order of the pass.
    pub parts: Vec<Part>,
    /// Of each block.
    pub block_seconds: Vec<f64>,
}

/// One kind of work.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Part {
    pub name: String,
    /// The part that this one belongs to, if any.
    pub of: Option<String>,
    pub seconds: f64,
    /// Of the profiled pass.
    pub share: f64,
    /// Of multiplications that the closed formula counts.
    pub tflop_per_second: Option<f64>,
}

/// What [`run`] tells.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Line {
    Profile(Box<Profile>),
    /// A pass that is over; for those who wait.
    #[serde(skip)]
    Pass {
        index: usize,
        of: usize,
        seconds: f64,
    },
}

/// Takes passes apart until `told` breaks off: first whole ones, then those that are taken apart.
///
/// # Errors
/// Those of loading.
pub fn run(
    options: &Options,
    mut told: impl FnMut(Line) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, ImportError> {
    let config = options.networks.dit_config()?;
    let fitting = || fitting_blocks(&config, options.form, &options.device);
    let blocks = options.blocks.unwrap_or_else(fitting).clamp(1, config.layers);
    let model = options.networks.transformer(blocks, options.form, &options.device)?;
    let dtype = DType::from(options.form.dtype);
    let pass = Pass::new(model, &options.length, options.camera, dtype, &options.device);
    let pass = pass.unwrap_or_else(|error| panic!("{error}"));
    Ok(measure(options, &config, blocks, &pass, &mut told))
}

fn measure(
    options: &Options,
    config: &WanConfig,
    blocks: usize,
    pass: &Pass,
    told: &mut impl FnMut(Line) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let of = options.warmup + 2 * options.runs;
    let mut whole = Vec::new();
    for index in 0..options.warmup + options.runs {
        let seconds = once(pass, &options.device);
        whole.push(seconds);
        told(Line::Pass { index, of, seconds })?;
    }
    let mut spans = Vec::new();
    let mut profiled = Vec::new();
    for index in 0..options.runs {
        let recorder = Recorder::new(&options.device);
        let seconds = tracing::subscriber::with_default(recorder.clone(), || once(pass, &options.device));
        profiled.push(seconds);
        spans.push(recorder.spans());
        told(Line::Pass { index: options.warmup + options.runs + index, of, seconds })?;
    }
    let seconds = median_of(&whole[options.warmup..]);
    let profiled_seconds = profiled.iter().sum::<f64>() / profiled.len() as f64;
    let camera = config.control_width().is_some() && !options.camera.off;
    let flops = BlockFlops::new(config, options.length.tokens, pass.image_rows);
    told(Line::Profile(Box::new(Profile {
        model: options.networks.name.clone(),
        length: options.length.clone(),
        blocks,
        of_blocks: config.layers,
        forwards: 1,
        dtype: options.form.dtype_name(),
        quant: options.form.quant_name(),
        camera,
        camera_blocks_kept: if camera { blocks - pass.camera_blocks } else { 0 },
        seconds,
        profiled_seconds,
        overhead: profiled_seconds / seconds - 1.0,
        parts: parts(&spans, profiled_seconds, |name| flops_of(name, &flops, blocks, pass.camera_blocks)),
        block_seconds: block_seconds(&spans),
    })))
}

fn once(pass: &Pass, device: &Device) -> f64 {
    time(1, || {
        drop(pass.run());
        assert!(device.sync().is_ok(), "the device failed");
    })[0]
}

/// Operations of a part in a pass, if the formula counts them.
fn flops_of(name: &str, block: &BlockFlops, blocks: usize, camera_blocks: usize) -> Option<f64> {
    let of_all = |flops: f64| Some(blocks as f64 * flops);
    match name {
        "feed-forward" => of_all(block.ffn),
        "self-attention" => of_all(block.self_projections + block.self_attention),
        "camera layers" if camera_blocks > 0 => Some(camera_blocks as f64 * block.camera),
        _ => None,
    }
}

/// The means of all passes' spans, those of equal names under equal names together; what a span spends outside of those
/// in it is `other` under it if there are any.
fn parts(spans: &[Vec<Span>], total: f64, flops: impl Fn(&str) -> Option<f64>) -> Vec<Part> {
    let mut sums: Vec<((Option<&str>, &str), f64)> = Vec::new();
    let mut add = |of, name, seconds: f64| match sums.iter_mut().find(|(key, _)| *key == (of, name)) {
        Some((_, sum)) => *sum += seconds,
        None => sums.push(((of, name), seconds)),
    };
    for span in spans.iter().flatten().filter(|span| span.name != BLOCK) {
        add(span.of(BLOCK), span.name, span.seconds);
    }
    let inner: BTreeMap<&str, f64> = sums.iter().fold(BTreeMap::new(), |mut inner, ((of, _), seconds)| {
        if let Some(of) = of {
            *inner.entry(*of).or_default() += seconds;
        }
        inner
    });
    let passes = spans.len().max(1) as f64;
    let part = |of: Option<&str>, name: &str, seconds: f64| Part {
        name: name.to_owned(),
        of: of.map(str::to_owned),
        seconds: seconds / passes,
        share: seconds / passes / total,
        tflop_per_second: flops(name).filter(|_| of.is_none()).map(|flops| flops * passes / seconds / 1e12),
    };
    let outermost = sums.iter().filter(|((of, _), _)| of.is_none());
    let mut all: Vec<Part> = outermost
        .flat_map(|((_, name), seconds)| {
            let mut family = vec![part(None, name, *seconds)];
            let children = sums.iter().filter(|((of, _), _)| *of == Some(*name));
            family.extend(children.map(|((of, child), seconds)| part(*of, child, *seconds)));
            let rest = inner.get(name).map(|inner| seconds - inner);
            family.extend(rest.map(|rest| part(Some(name), "other", rest)));
            family
        })
        .collect();
    let told: f64 = all.iter().filter(|part| part.of.is_none()).map(|part| part.seconds).sum();
    all.push(part(None, "between the parts", (total - told) * passes));
    all
}

/// The mean over all passes for each block.
fn block_seconds(spans: &[Vec<Span>]) -> Vec<f64> {
    let each = |spans: &Vec<Span>| -> Vec<f64> {
        spans.iter().filter(|span| span.name == BLOCK).map(|span| span.seconds).collect()
    };
    let all: Vec<Vec<f64>> = spans.iter().map(each).collect();
    let blocks = all.first().map_or(0, Vec::len);
    let mean = |index: usize| all.iter().filter_map(|pass| pass.get(index)).sum::<f64>() / all.len() as f64;
    (0..blocks).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(name: &'static str, around: &[&'static str], seconds: f64) -> Span {
        Span { name, around: around.to_vec(), seconds }
    }

    #[test]
    fn spans_add_up_by_name_and_leave_a_rest() {
        let pass = vec![
            span("attention", &["block", "self-attention"], 2.0),
            span("self-attention", &["block"], 3.0),
            span("block", &[], 3.5),
            span("attention", &["block", "self-attention"], 4.0),
            span("self-attention", &["block"], 6.0),
            span("block", &[], 6.5),
            span("head", &[], 1.0),
        ];
        let flops = |name: &str| (name == "self-attention").then_some(18e12);
        let found = parts(&[pass.clone(), pass.clone()], 20.0, flops);
        let names: Vec<_> =
            found.iter().map(|part| (part.of.as_deref(), &*part.name, part.seconds)).collect();
        assert_eq!(
            names,
            [
                (None, "self-attention", 9.0),
                (Some("self-attention"), "attention", 6.0),
                (Some("self-attention"), "other", 3.0),
                (None, "head", 1.0),
                (None, "between the parts", 10.0),
            ]
        );
        assert_eq!((found[0].share, found[0].tflop_per_second), (0.45, Some(2.0)));
        assert_eq!(block_seconds(&[pass.clone(), pass]), [3.5, 6.5]);
    }
}
