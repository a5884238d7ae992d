//! The plan of a run's memory against the largest resident set of each phase, beyond what is there before the run. Pages
//! that are only asked for do not count, as the system hands them out when they are touched.
#![allow(clippy::unwrap_used)]

use std::{path::Path, process::Command, sync::Arc};

use burn::{prelude::*, tensor::FloatDType};
use testkit::{Golden, normal, report_skip, resident};
use wan_import::{Checkpoint, Quant, Stored, TensorBytes, TensorInfo, TensorSource};
use wan_kernels::DeviceKind;
use wan_model::{
    VaeConfig, VaeMemory, WanConfig,
    camera::{CameraPath, Intrinsics, Pose},
    image::Picture,
    text::Umt5Config,
};
use wan_pipeline::{
    CancelToken, Engine, Event, GenerateRequest, Machine, MemoryPlan, Offload, Phase, PipelineError,
    Placement, Question, Room, VaeTiling, Wish, generate,
};

/// How far a plan may be from what is held.
const TOLERANCE: f64 = 0.1;

fn machine() -> Machine {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    Machine { kind: DeviceKind::Flex, half: true, largest_tensor: u64::MAX, threads }
}

/// Values for the tensors of an imagined model, the same ones over and over, drawn when they are asked for.
#[derive(Debug)]
struct Drawn {
    shapes: Arc<dyn TensorSource>,
    values: Vec<f32>,
}

impl Drawn {
    fn instead_of(shapes: &mut Arc<dyn TensorSource>) {
        *shapes = Arc::new(Self { shapes: shapes.clone(), values: normal(1, 1 << 16) });
    }
}

impl TensorSource for Drawn {
    fn path(&self) -> &Path {
        self.shapes.path()
    }

    fn names(&self) -> Vec<&str> {
        self.shapes.names()
    }

    fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.shapes.info(name)
    }

    fn data(&self, name: &str) -> Option<TensorBytes> {
        let info = self.info(name)?;
        let count: usize = info.shape.iter().product();
        let scale = (info.shape.iter().skip(1).product::<usize>() as f32).sqrt().recip();
        let values = self.values.iter().cycle().take(count).map(|value| value * scale);
        let bytes = match info.dtype {
            Stored::F32 => values.flat_map(f32::to_le_bytes).collect(),
            _ => values.flat_map(|value| ((value.to_bits() >> 16) as u16).to_le_bytes()).collect::<Vec<u8>>(),
        };
        Some(TensorBytes::owned(bytes))
    }
}

/// A model in memory.
fn model(dit: WanConfig, vae: VaeConfig, stored: &Stored) -> Checkpoint {
    let text =
        Umt5Config { vocab: 693, d_model: 64, d_kv: 8, heads: 8, d_ff: 160, layers: 2, ..Umt5Config::xxl() };
    let mut checkpoint = Checkpoint::imagined_of(WanConfig { text_dim: 64, ..dit }, text, vae, stored);
    for component in [&mut checkpoint.dit, &mut checkpoint.vae, &mut checkpoint.text_encoder] {
        Drawn::instead_of(&mut component.source);
    }
    checkpoint.tokenizer = Golden::path("tokenizer").join("tokenizer.json");
    checkpoint
}

/// A transformer of two blocks whose activations weigh more than its weights.
fn small_dit() -> WanConfig {
    WanConfig { dim: 256, ffn_dim: 2048, heads: 2, layers: 2, ..WanConfig::t2v_1_3b() }
}

fn small_vae() -> VaeConfig {
    VaeConfig { base_dim: 32, ..VaeConfig::wan_2_1() }
}

fn request(size: (usize, usize), frames: usize) -> GenerateRequest {
    GenerateRequest {
        prompt: "a red ball".into(),
        negative: Some(String::new()),
        size: Some(size),
        frames: Some(frames),
        steps: Some(1),
        guidance: Some(1.0),
        ..GenerateRequest::default()
    }
}

/// The largest resident set of `phase` beyond that before the run, in bytes; `None` where it is not told.
fn measured(
    checkpoint: &Checkpoint,
    request: &GenerateRequest,
    placement: Placement,
    phase: Phase,
) -> Option<f64> {
    let before = resident::now()?;
    let mut most = None;
    let mut watch = |event: Event<'_>| {
        match event {
            Event::Started(started) if started == phase => resident::reset(),
            Event::Finished { phase: finished, .. } if finished == phase => most = resident::peak(),
            _ => {}
        }
        Ok(())
    };
    let plan = request.plan(checkpoint).unwrap();
    let plain = Engine::new(Device::flex(), CancelToken::default(), &mut watch);
    generate(checkpoint, &plan, &mut Engine { placement, ..plain }).unwrap();
    most.map(|most| most.saturating_sub(before) as f64)
}

/// Whether `planned` is near `held`.
fn near(planned: f64, held: f64) -> bool {
    (planned / held - 1.0).abs() <= TOLERANCE
}

/// Compares plan and run in `phase`; a plan that is wrong by a fifth is found out.
fn check(checkpoint: &Checkpoint, request: &GenerateRequest, placement: Placement, phase: Phase) {
    let plan = request.plan(checkpoint).unwrap();
    let memory = MemoryPlan::of(checkpoint, &plan, &placement, &machine()).unwrap();
    let planned = memory.phases.iter().find(|planned| planned.phase == phase).unwrap();
    let planned = planned.total().resident() as f64;
    let Some(held) = measured(checkpoint, request, placement, phase) else {
        return report_skip("cpu", "the resident set is not told here");
    };
    let what = format!("{placement:?}: planned {planned}, held {held}; {memory:?}");
    assert!(near(planned, held), "{what}");
    assert!(!near(1.2 * planned, held) && !near(0.8 * planned, held), "{what}");
}

/// Names the case that a process of its own measures.
const CASE: &str = "WAN_MEMORY_CASE";

/// A process for each case: what the allocator keeps of one would count for less in the next.
#[test]
fn a_run_holds_what_is_planned() {
    let forms = [(FloatDType::F32, None), (FloatDType::F16, None), (FloatDType::F32, Some(Quant::Int8))];
    let denoise = forms.map(|(dtype, quant)| {
        let placement = Placement { dtype, quant, ..Placement::default() };
        (request((832, 480), 9), placement, Phase::Denoise)
    });
    let memories = [(false, 4 << 20), (false, 32 << 20), (true, 4 << 20)];
    let decode = memories.map(|(half, piece_bytes)| {
        let vae_memory = VaeMemory { half, piece_bytes, ..VaeMemory::default() };
        (request((416, 240), 9), Placement { vae_memory, ..Placement::default() }, Phase::Decode)
    });
    let cases: Vec<_> = denoise.into_iter().chain(decode).collect();
    let chosen = std::env::var(CASE).ok().map(|text| text.parse::<usize>().unwrap());
    let Some((request, placement, phase)) = chosen.map(|index| &cases[index]) else {
        return (0..cases.len()).for_each(in_own_process);
    };
    let checkpoint = model(small_dit(), small_vae(), &Stored::F32);
    // Code is read, and threads begin, in the first run.
    let _ = measured(&checkpoint, &self::request((208, 128), 5), Placement::default(), Phase::Decode);
    check(&checkpoint, request, *placement, *phase);
}

fn in_own_process(case: usize) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["a_run_holds_what_is_planned", "--exact", "--nocapture"]).env(CASE, case.to_string());
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "case {case}: {told}");
}

/// What is chosen fits what there is, and what is offered instead of a refused run does too.
#[test]
fn settings_that_are_offered_fit() {
    let checkpoint = Checkpoint::imagined(WanConfig::t2v_14b(), &Stored::Bf16);
    let wish = Wish {
        dtype: FloatDType::F32,
        quant: None,
        offload: Offload::Auto,
        vae_half: false,
        vae_tiling: VaeTiling::Auto,
    };
    let settle = |room, wish, request: &GenerateRequest| {
        let question = Question { checkpoint: &checkpoint, request, wish, machine: machine(), room };
        question.settle().unwrap()
    };
    let room = |bytes| Room { host: Some(bytes), ..Room::default() };
    let full = request((832, 480), 81);
    assert!(settle(Room::default(), wish, &full).shortage.is_none(), "what is not known is no limit");
    let settled = settle(room(20_000_000_000), wish, &full);
    let Err(PipelineError::DoesNotFit { shortage, phase, ways }) = settled.check() else {
        panic!("{:?}", settled.shortage)
    };
    assert!(shortage.needed > 57_000_000_000 && phase == Phase::Denoise, "{shortage:?} {phase:?}");
    assert_eq!(ways, ["--dtype bf16", "--quant int8"]);
    let chosen = settle(room(20_000_000_000), Wish { dtype: FloatDType::BF16, ..wish }, &full);
    assert!(chosen.placement.stream_blocks && chosen.shortage.is_none(), "{:?}", chosen.shortage);
    let int8 = Wish { quant: Some(Quant::Int8), ..wish };
    assert!(settle(room(20_000_000_000), int8, &full).check().is_ok());
    // Between what fits and what is refused lies what is close.
    let needed = settle(Room::default(), int8, &full).memory.resident();
    let close = settle(room(needed - needed / 20), int8, &full);
    assert!(close.check().is_ok() && close.shortage.is_some());
}

/// Modulations of a camera's path take some of the room that is left, and no more.
#[test]
fn camera_modulations_are_kept_as_far_as_there_is_room() {
    let checkpoint = Checkpoint::imagined(WanConfig::lingbot_base_cam(), &Stored::Bf16);
    let path = CameraPath::from_poses(vec![Pose::IDENTITY; 17], vec![Intrinsics::PUBLISHED]);
    let camera = Some(path.unwrap());
    let image = Some(Picture::new(2, 2, vec![0; 12]).unwrap());
    let request = GenerateRequest { camera, image, ..request((832, 480), 17) };
    let wish = Wish {
        dtype: FloatDType::F32,
        quant: Some(Quant::Nf4),
        offload: Offload::Auto,
        vae_half: false,
        vae_tiling: VaeTiling::Auto,
    };
    let kept = |bytes| {
        let room = Room { host: Some(bytes), ..Room::default() };
        let question =
            Question { checkpoint: &checkpoint, request: &request, wish, machine: machine(), room };
        let settled = question.settle().unwrap();
        assert!(settled.memory.resident() <= bytes, "{bytes}: {}", settled.memory.resident());
        settled.placement.camera_blocks
    };
    let [tight, wide, all] = [20_000_000_000, 24_000_000_000, 64_000_000_000].map(kept);
    assert!(tight < wide && wide < all && all == 40, "{tight} {wide} {all}");
}
