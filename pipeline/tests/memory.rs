//! The plan of a run's memory against what a run asks of the allocator in each phase.
#![allow(clippy::unwrap_used)]

use std::{path::Path, sync::Arc};

use burn::{prelude::*, tensor::FloatDType};
use testkit::{Golden, counting, normal};
use wan_import::{Checkpoint, Quant, Stored, TensorBytes, TensorInfo, TensorSource};
use wan_kernels::DeviceKind;
use wan_model::{
    VaeConfig, VaeMemory, WanConfig,
    camera::{CameraPath, Intrinsics, Pose},
    image::Picture,
    text::Umt5Config,
};
use wan_pipeline::{
    CancelToken, Engine, Event, GenerateRequest, Machine, MemoryPlan, Offload, Part, Phase, PipelineError,
    Placement, Question, Room, VaeTiling, Wish, generate,
};

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

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
        steps: Some(3),
        guidance: Some(1.0),
        ..GenerateRequest::default()
    }
}

/// The most bytes held at a time in `phase` beyond those before the run, which ends with the phase.
fn measured(
    checkpoint: &Checkpoint,
    request: &GenerateRequest,
    placement: Placement,
    phase: Phase,
) -> Option<f64> {
    let (before, cancel) = (counting::held(), CancelToken::default());
    let mut most = None;
    let mut watch = |event: Event<'_>| {
        match event {
            Event::Started(started) if started == phase => counting::begin(),
            Event::Finished { phase: finished, .. } if finished == phase => {
                most = Some(counting::most());
                cancel.cancel();
            }
            _ => {}
        }
        Ok(())
    };
    let plan = request.plan(checkpoint).unwrap();
    let plain = Engine::new(Device::flex(), cancel.clone(), &mut watch);
    let ended = generate(checkpoint, &plan, &mut Engine { placement, ..plain });
    assert!(matches!(ended, Ok(()) | Err(PipelineError::Cancelled)), "{ended:?}");
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
    // What the allocator keeps for itself does not count among what is asked of it.
    let asked = planned.parts.iter().filter(|part| part.part != Part::Idle);
    let planned = asked.map(|part| part.bytes.resident()).sum::<u64>() as f64;
    let held = measured(checkpoint, request, placement, phase).unwrap();
    let what = format!("{placement:?}: planned {planned}, held {held}; {memory:?}");
    assert!(near(planned, held), "{what}");
    assert!(!near(1.2 * planned, held) && !near(0.8 * planned, held), "{what}");
}

/// One after the other: the counters are the process's.
#[test]
fn a_run_holds_what_is_planned() {
    let _turn = counting::alone();
    let checkpoint = model(small_dit(), small_vae(), &Stored::F32);
    let placement = Placement::default();
    // Threads begin in the first run.
    let _ = measured(&checkpoint, &request((64, 48), 5), placement, Phase::Decode);
    let forms = [(FloatDType::F32, None), (FloatDType::F16, None), (FloatDType::F32, Some(Quant::Int8))];
    for (dtype, quant) in forms {
        check(&checkpoint, &request((832, 480), 9), Placement { dtype, quant, ..placement }, Phase::Denoise);
    }
    for (half, piece_bytes) in [(false, 4 << 20), (false, 32 << 20), (true, 4 << 20)] {
        let vae_memory = VaeMemory { half, piece_bytes, ..VaeMemory::default() };
        check(&checkpoint, &request((416, 240), 9), Placement { vae_memory, ..placement }, Phase::Decode);
    }
}

/// What is chosen fits what there is, and what is offered instead of a refused run does too.
#[test]
fn settings_that_are_offered_fit() {
    let _turn = counting::alone();
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
    let _turn = counting::alone();
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
