//! The flags of `wan bench` and `wan profile`.

use std::path::PathBuf;

use clap::{
    Args, Subcommand, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};
use wan_benches::Preset;

use super::{parse_count, parse_positive};
use crate::{
    devices::DeviceChoice,
    engine::ModelPath,
    settings::{DtypeChoice, Quant, Size, VaeDtype},
};

const BENCH_EXAMPLE: &str = "\
Examples:
  wan bench step --preset t2v-1.3b --tokens 512,3120
      times forward passes of T2V-1.3B on random weights, at two lengths
  wan bench step --preset lingbot-a14b --blocks 4 --tokens 4290 --quant none,nf4
  wan bench vae --size 256x256 --frames 5
  wan bench load --model Wan2.1-T2V-1.3B
  wan bench kernels --only attention --seconds 5 --json > attention.jsonl";

#[derive(Args, Debug)]
#[command(after_help = BENCH_EXAMPLE)]
pub struct BenchArgs {
    #[command(subcommand)]
    pub what: Benchmark,
}

/// What `wan bench` times.
#[derive(Subcommand, Debug)]
pub enum Benchmark {
    /// Forward passes of a transformer, or of its first blocks
    Step(StepArgs),
    /// Decoding and encoding of a video
    Vae(VaeArgs),
    /// Bringing weights from disk into memory
    Load(LoadArgs),
    /// Attention, norms, activations, convolutions, quantized products
    Kernels(KernelArgs),
    /// A block of LingBot-World at full width with weights of 32, 8 and 4 bits; takes 7 GB
    Quant(QuantArgs),
}

/// Where and how every benchmark runs.
#[derive(Args, Debug)]
pub struct Common {
    /// auto, cpu, wgpu[:I] or any other device of `wan devices`
    #[arg(long, default_value = "auto")]
    pub device: DeviceChoice,
    /// Print one JSON object a line: the device, its own peaks, then the rows
    #[arg(long)]
    pub json: bool,
}

/// Whose networks.
#[derive(Args, Debug)]
pub struct NetworkArgs {
    /// A released model's dimensions, on random weights [default: t2v-1.3b]
    #[arg(long, value_name = "NAME", value_parser = preset(), conflicts_with = "model")]
    pub preset: Option<Preset>,
    /// A checkpoint: model folder, component, or `demo`
    #[arg(long, value_name = "PATH")]
    pub model: Option<ModelPath>,
}

/// How often.
#[derive(Args, Debug)]
pub struct RunArgs {
    /// Runs before those that count; the first of them compiles
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub warmup: usize,
    /// Runs that count
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = parse_count)]
    pub runs: usize,
}

/// Which forward pass.
#[derive(Args, Debug)]
pub struct PassArgs {
    #[command(flatten)]
    pub networks: NetworkArgs,
    /// Lengths of the sequence, in tokens [default: 780 to 32760 as far as --limit allows, or 780 for `profile`]
    #[arg(long, value_name = "L", value_delimiter = ',', value_parser = parse_count)]
    pub tokens: Vec<usize>,
    /// The length of a video of these pixels, for example 832x480
    #[arg(long, value_name = "WxH", conflicts_with = "tokens", requires = "frames")]
    pub size: Option<Size>,
    /// Frames of that video, 4n+1
    #[arg(long, value_name = "N", value_parser = parse_count, requires = "size")]
    pub frames: Option<usize>,
    /// The transformer's first blocks only; the time of all is extrapolated [default: as many as fit the memory]
    #[arg(long, value_name = "N", value_parser = parse_count)]
    pub blocks: Option<usize>,
    /// Precision of matmul inputs and weights
    #[arg(long, value_enum, default_value = "auto")]
    pub dtype: DtypeChoice,
    /// Leave the camera branch out, where there is one
    #[arg(long)]
    pub no_camera: bool,
    /// Blocks whose camera scale and shift are computed once; as many as fit 1 GiB unless given
    #[arg(long, value_name = "N")]
    pub camera_kept: Option<usize>,
}

#[derive(Args, Debug)]
pub struct StepArgs {
    #[command(flatten)]
    pub pass: PassArgs,
    /// Bits in which large layers are held: one, or several to compare
    #[arg(long, value_enum, value_delimiter = ',', default_value = "none")]
    pub quant: Vec<Quant>,
    /// Forward passes of a step: 2 with guidance
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = parse_count)]
    pub forwards: usize,
    /// Steps of a whole run, for its predicted time; the model's own unless given
    #[arg(long, value_name = "N", value_parser = parse_count)]
    pub steps: Option<usize>,
    /// Lengths whose runs would take longer than this are left out, in seconds
    #[arg(long, value_name = "S", default_value_t = 600.0, value_parser = parse_positive)]
    pub limit: f64,
    #[command(flatten)]
    pub runs: RunArgs,
    #[command(flatten)]
    pub common: Common,
}

const PROFILE_EXAMPLE: &str = "\
Examples:
  wan profile --preset t2v-1.3b --blocks 4 --tokens 3120
      takes one forward pass apart: feed-forward, attentions, norms, embeddings
  wan profile --model Wan2.2-I2V-A14B --size 832x480 --frames 41 --json";

#[derive(Args, Debug)]
#[command(after_help = PROFILE_EXAMPLE)]
pub struct ProfileArgs {
    #[command(flatten)]
    pub pass: PassArgs,
    /// Bits in which large layers are held
    #[arg(long, value_enum, default_value = "none")]
    pub quant: Quant,
    #[command(flatten)]
    pub runs: RunArgs,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Args, Debug)]
pub struct VaeArgs {
    #[command(flatten)]
    pub networks: NetworkArgs,
    /// Pixels of the video
    #[arg(long, value_name = "WxH", default_value = "256x256")]
    pub size: Size,
    /// Frames of the video, 4n+1
    #[arg(long, value_name = "N", value_parser = parse_count, default_value_t = 5)]
    pub frames: usize,
    /// Precision of what is remembered of earlier frames
    #[arg(long, value_enum, default_value = "f32")]
    pub vae_dtype: VaeDtype,
    #[command(flatten)]
    pub runs: RunArgs,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Args, Debug)]
pub struct LoadArgs {
    #[command(flatten)]
    pub networks: NetworkArgs,
    /// Blocks of a preset that are written and loaded [default: what 4 GB hold]
    #[arg(long, value_name = "N", value_parser = parse_count, conflicts_with = "model")]
    pub blocks: Option<usize>,
    /// Dtype of a preset's file
    #[arg(long, value_enum, default_value = "bf16", conflicts_with = "model")]
    pub stored: StoredDtype,
    /// Where a preset's file is written; removed at the end [default: the system's temporary folder]
    #[arg(long, value_name = "DIR", conflicts_with = "model")]
    pub folder: Option<PathBuf>,
    /// Precision of matmul inputs and weights
    #[arg(long, value_enum, default_value = "auto")]
    pub dtype: DtypeChoice,
    /// Bits in which large layers are held: one, or several to compare
    #[arg(long, value_enum, value_delimiter = ',', default_value = "none")]
    pub quant: Vec<Quant>,
    #[command(flatten)]
    pub runs: RunArgs,
    #[command(flatten)]
    pub common: Common,
}

/// Of the tensors in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StoredDtype {
    F32,
    F16,
    Bf16,
}

#[derive(Args, Debug)]
pub struct KernelArgs {
    /// Operations whose name holds this text
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,
    /// For each row, about; what takes several times as long is left out
    #[arg(long, value_name = "S", default_value_t = 1.0, value_parser = parse_positive)]
    pub seconds: f64,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Args, Debug)]
pub struct QuantArgs {
    #[command(flatten)]
    pub common: Common,
}

pub(super) fn preset() -> impl TypedValueParser<Value = Preset> {
    let names = PossibleValuesParser::new(Preset::ALL.map(|preset| preset.name));
    names.try_map(|name| Preset::named(&name).ok_or("no such model"))
}
