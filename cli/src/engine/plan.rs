//! What a job will take, and where its parts go.

use burn::tensor::{DType, Device};
use serde::Serialize;
use wan_benches::Preset;
use wan_import::{Checkpoint, Stored};
use wan_kernels::DeviceCaps;
use wan_model::image::Picture;
use wan_pipeline::{
    Bytes, GenerateRequest, Kept, Machine, MemoryPlan, Placement, Question, Room, Settled, Shortage, Task,
    Wish,
};

use super::{EngineError, Model, Request, generate_request, matmul_dtype};
use crate::{
    machine,
    settings::{DtypeChoice, Offload, Settings, VaeDtype, VaeTiling},
};

/// A job's memory, as `wan plan` tells it.
#[derive(Debug, Serialize)]
pub struct JobPlan {
    pub width: usize,
    pub height: usize,
    pub frames: usize,
    pub tokens: usize,
    pub device: String,
    pub dtype: &'static str,
    pub quant: Option<&'static str>,
    pub placement: Placed,
    #[serde(flatten)]
    pub memory: MemoryPlan,
    pub peak: Peak,
    /// `null` where it is not known.
    pub available: Room,
    /// Whether the run would begin.
    pub fits: bool,
    /// Of the memory that comes nearest to its limit, if one does.
    pub shortage: Option<Shortage>,
    /// Settings under which it would fit.
    pub ways: Vec<String>,
    pub notes: Vec<String>,
    #[serde(skip)]
    pub refusal: Option<EngineError>,
}

/// What was chosen, as the flags that say it.
#[derive(Debug, Serialize)]
pub struct Placed {
    pub offload: &'static str,
    pub vae_dtype: &'static str,
    /// Tiles over the rows and the columns of a frame.
    pub vae_tiling: [usize; 2],
    /// Blocks whose camera modulation is kept; `null` without a camera.
    pub camera_blocks: Option<usize>,
}

/// The most of each kind of memory.
#[derive(Debug, Serialize)]
pub struct Peak {
    #[serde(flatten)]
    pub bytes: Bytes,
    /// Largest resident set of the process.
    pub resident: u64,
}

/// Plans `request`, for the model `preset` if one is given. What its task needs and is not given is assumed.
pub fn plan(request: &Request, preset: Option<Preset>) -> Result<JobPlan, EngineError> {
    let settings = &request.settings;
    let (model, checkpoint) = match preset {
        Some(preset) => (None, Checkpoint::imagined(preset.config(), &stored(settings))),
        None => {
            let model = Model::open(settings)?;
            let checkpoint = model.checkpoint.clone();
            (Some(model), checkpoint)
        }
    };
    let mut generate = generate_request(settings, &checkpoint)?;
    let mut assumed = assume(&checkpoint, &mut generate)?;
    let device = request.device.open();
    let settled = settle(request, &checkpoint, &generate, &device)?;
    drop(model);
    let mut plan = told(request, &checkpoint, settled);
    assumed.append(&mut plan.notes);
    Ok(JobPlan { notes: assumed, ..plan })
}

/// The placement of a job on its device, chosen by what is free.
pub(super) fn settle(
    request: &Request,
    checkpoint: &Checkpoint,
    generate: &GenerateRequest,
    device: &Device,
) -> Result<Settled, EngineError> {
    Ok(question(request, checkpoint, generate, device)?.settle()?)
}

fn question<'a>(
    request: &Request,
    checkpoint: &'a Checkpoint,
    generate: &'a GenerateRequest,
    device: &Device,
) -> Result<Question<'a>, EngineError> {
    let settings = &request.settings;
    let wish = Wish {
        dtype: matmul_dtype(settings.dtype.unwrap_or_default(), &request.device, device)?,
        quant: settings.quant.unwrap_or_default().weights(),
        offload: match settings.offload.unwrap_or_default() {
            Offload::Auto => wan_pipeline::Offload::Auto,
            Offload::None => wan_pipeline::Offload::None,
            Offload::Model => wan_pipeline::Offload::Model,
            Offload::Block => wan_pipeline::Offload::Block,
        },
        vae_half: settings.vae_dtype == Some(VaeDtype::F16),
        vae_tiling: match settings.vae_tiling.unwrap_or_default() {
            VaeTiling::Auto => wan_pipeline::VaeTiling::Auto,
            VaeTiling::Off => wan_pipeline::VaeTiling::Off,
            VaeTiling::Tiles(counts) => wan_pipeline::VaeTiling::Tiles(counts),
        },
    };
    let caps = DeviceCaps::of(device);
    let machine = Machine {
        kind: caps.kind,
        half: device.supports_dtype(DType::F16),
        largest_tensor: caps.max_binding_bytes,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
    };
    let room = machine::room(&request.device, settings.memory_limit);
    Ok(Question { checkpoint, request: generate, wish, machine, room })
}

/// [`settle`] where something is `kept` of an earlier job: it goes if the room is short with it, and of what it may keep
/// only that stays for which there is room beside this job's work.
pub(super) fn settle_beside(
    request: &Request,
    checkpoint: &Checkpoint,
    generate: &GenerateRequest,
    device: &Device,
    kept: &mut Option<Kept>,
) -> Result<Settled, EngineError> {
    let mut question = question(request, checkpoint, generate, device)?;
    let mut settled = question.settle()?;
    let Some(kept) = kept else { return Ok(settled) };
    if settled.shortage.is_some() && kept.forget_networks() {
        device.memory_cleanup();
        question.room = machine::room(&request.device, request.settings.memory_limit);
        settled = question.settle()?;
    }
    // Whatever is held already was no reason for a shortage.
    if !kept.holds_transformers() {
        let stay = question.stay(&settled)?;
        kept.beside_decoder &= stay.beside_decoder;
        kept.both = stay.both && kept.beside_decoder;
    }
    Ok(settled)
}

/// Weights of a model that is not at hand have the dtype that is asked for, or that of the published files.
fn stored(settings: &Settings) -> Stored {
    match settings.dtype.unwrap_or_default() {
        DtypeChoice::F32 => Stored::F32,
        DtypeChoice::F16 => Stored::F16,
        DtypeChoice::Auto | DtypeChoice::Bf16 => Stored::Bf16,
    }
}

/// Pictures that the task needs and are not given do not change what is held: any will do.
fn assume(checkpoint: &Checkpoint, generate: &mut GenerateRequest) -> Result<Vec<String>, EngineError> {
    let own = Task::of(&checkpoint.dit_config.kind).first().copied();
    let task = generate.task.or(own).unwrap_or(Task::T2v);
    let mut notes = Vec::new();
    let (width, height) = generate.size.unwrap_or((832, 480));
    let grey = |what: &str, notes: &mut Vec<String>| {
        notes.push(format!("{what} of {width}x{height} is assumed"));
        Picture::new(height, width, vec![128; width * height * 3]).map_err(wan_pipeline::PipelineError::from)
    };
    if matches!(task, Task::I2v | Task::Flf2v | Task::World) && generate.image.is_none() {
        generate.image = Some(grey("an image", &mut notes)?);
    }
    if task == Task::Flf2v && generate.last_image.is_none() {
        generate.last_image = Some(grey("a last image", &mut notes)?);
    }
    Ok(notes)
}

fn told(request: &Request, checkpoint: &Checkpoint, settled: Settled) -> JobPlan {
    let refusal = settled.check().err().map(EngineError::from);
    let Settled { plan, placement, memory, shortage, ways, mut notes } = settled;
    notes.splice(0..0, plan.notes.iter().cloned());
    let tiles =
        placement.vae_memory.tiling.map(|tiling| tiling.counts([plan.latent.height, plan.latent.width]));
    let quant = checkpoint.dit.quant().or(placement.quant).map(wan_import::Quant::name);
    JobPlan {
        width: plan.width,
        height: plan.height,
        frames: plan.frames,
        tokens: plan.tokens,
        device: request.device.describe(),
        dtype: DType::from(placement.dtype).name(),
        quant,
        placement: Placed {
            offload: offload(&placement),
            vae_dtype: if placement.vae_memory.half { "f16" } else { "f32" },
            vae_tiling: tiles.unwrap_or([1, 1]),
            camera_blocks: plan.camera.as_ref().map(|_| placement.camera_blocks),
        },
        peak: Peak { bytes: memory.peak(), resident: memory.resident() },
        memory,
        available: machine::room(&request.device, request.settings.memory_limit),
        fits: refusal.is_none(),
        shortage,
        ways,
        notes,
        refusal,
    }
}

pub(super) fn offload(placement: &Placement) -> &'static str {
    if placement.stream_blocks { "block" } else { "model" }
}

/// What to say where a run takes nearly all of some memory.
pub(super) fn closeness(settled: &Settled) -> Option<String> {
    let Shortage { what, needed, available, .. } = settled.shortage?;
    let [needed, available] = [needed, available].map(|bytes| bytes as f64 / 1e9);
    Some(format!("it will take about {needed:.1} GB of {what}, of which {available:.1} GB are available"))
}
