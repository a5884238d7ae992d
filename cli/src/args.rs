//! The command line's flags.

mod batch;
mod bench;
mod camera;
mod config;
mod convert;
mod preview;
mod pull;
mod resume;

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, builder::NonEmptyStringValueParser};

pub use batch::{BatchArgs, Shard};
pub use bench::{
    BenchArgs, Benchmark, Common, KernelArgs, LoadArgs, NetworkArgs, PassArgs, ProfileArgs, QuantArgs,
    RunArgs, StepArgs, StoredDtype, VaeArgs,
};
pub use camera::{CameraArgs, CameraCommand, CameraMakeArgs, CameraShowArgs};
pub use config::{CompletionsArgs, ConfigArgs, ManArgs};
pub use convert::ConvertArgs;
pub use preview::{InlineChoice, PreviewArgs};
pub use pull::PullArgs;
pub use resume::{
    HealthChoice, ResumeArgs, RunsArgs, RunsCommand, RunsPruneArgs, RunsRmArgs, TrustArgs, absolute,
};

use wan_benches::Preset;

use crate::{devices::DeviceChoices, engine::ModelPath, settings::Settings};

/// Video from text with Wan diffusion models, on a CPU or any graphics adapter.
#[derive(Parser, Debug)]
#[command(name = "wan", version, propagate_version = true, arg_required_else_help = false)]
pub struct Cli {
    /// Print results and errors only
    #[arg(long, short, global = true, display_order = 1000)]
    pub quiet: bool,
    /// Say more about the work; twice for all of it
    #[arg(long, short, global = true, action = ArgAction::Count, conflicts_with = "quiet", display_order = 1001)]
    pub verbose: u8,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Make a video from a prompt
    Generate(Box<GenerateArgs>),
    /// Make many clips, with models loaded once
    Batch(Box<BatchArgs>),
    /// Go on with a run that was left
    Resume(ResumeArgs),
    /// List the runs that were left, and remove them
    Runs(RunsArgs),
    /// Say how much memory a video takes, and whether it fits
    Plan(Box<PlanArgs>),
    /// Say what a checkpoint is, or how a clip was made
    Inspect(InspectArgs),
    /// Write a checkpoint again, its large layers in fewer bits
    Convert(ConvertArgs),
    /// Download a model from the Hugging Face hub
    Pull(PullArgs),
    /// Make camera paths and look at them
    Camera(CameraArgs),
    /// List the devices of this machine
    Devices(DevicesArgs),
    /// Check this machine's kernels against their references
    Doctor(DoctorArgs),
    /// Time this machine: steps, VAE, loading, kernels
    Bench(BenchArgs),
    /// Compile every kernel of a run ahead of it
    Compile(Box<CompileArgs>),
    /// Take one forward pass apart: where its time goes
    Profile(ProfileArgs),
    /// Show the defaults of generate's settings, and where they come from
    Config(Box<ConfigArgs>),
    /// Print a shell's completions
    Completions(CompletionsArgs),
    /// Write manual pages
    Man(ManArgs),
}

const GENERATE_EXAMPLE: &str = "\
Examples:
  wan generate --prompt \"a red ball rolls to the left\"
      draws it with the built-in demo model, in seconds and on any machine
  wan generate --from fox.mp4 --seed 8 -o other.mp4
      the run that made fox.mp4, with another seed
  wan generate --model Wan2.2-I2V-A14B --image cat.jpg --prompt \"the cat yawns\" --area 480p
  wan generate --model lingbot-world-base-cam --image room.png --camera walk \\
      --prompt \"a quiet reading room\" --frames 161
  wan generate --model Wan2.1-T2V-1.3B --prompt \"a red fox runs through fresh snow\" \\
      --size 832x480 --frames 33 --steps 30 --seed 7 -o fox.mp4";

#[derive(Args, Debug)]
#[command(after_help = GENERATE_EXAMPLE)]
pub struct GenerateArgs {
    #[command(flatten)]
    pub settings: Settings,
    /// Read the prompt from a file
    #[arg(long, value_name = "FILE", conflicts_with = "prompt")]
    pub prompt_file: Option<PathBuf>,
    /// A clip whose settings hold where no flag says otherwise: repeats its run, or a variation of it
    #[arg(long, value_name = "CLIP")]
    pub from: Option<PathBuf>,

    /// .mp4, .gif, .webp, .png (one frame), name_%04d.png or a folder [default: wan-<seed>.mp4]
    #[arg(short, long, value_name = "FILE", value_parser = NonEmptyStringValueParser::new(), help_heading = "Output")]
    pub output: Option<String>,
    /// Replace the output if it exists
    #[arg(long, help_heading = "Output")]
    pub overwrite: bool,
    /// Say how much memory it takes and whether it fits, and make nothing: `wan plan`
    #[arg(long, help_heading = "Output")]
    pub dry_run: bool,
    /// Print one JSON object about the run instead of the path
    #[arg(long, help_heading = "Output")]
    pub json: bool,
    #[command(flatten)]
    pub preview: PreviewArgs,
    /// Leave settings and hashes of the model out of the files
    #[arg(long, help_heading = "Output")]
    pub no_metadata: bool,
    /// Write text.safetensors, latents.safetensors and frames.safetensors into a folder
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub dump: Option<PathBuf>,
    #[command(flatten)]
    pub trust: TrustArgs,
}

const COMPILE_EXAMPLE: &str = "\
Examples:
  wan compile --model Wan2.1-T2V-1.3B --size 832x480 --frames 81
      compiles on the device that `auto` takes what `wan generate` with these flags needs there
  wan compile --device wgpu --json";

#[derive(Args, Debug)]
#[command(after_help = COMPILE_EXAMPLE)]
pub struct CompileArgs {
    #[command(flatten)]
    pub settings: Settings,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

const PLAN_EXAMPLE: &str = "\
Examples:
  wan plan --preset lingbot-a14b --quant nf4
      says before the download whether it will fit
  wan plan --model Wan2.1-T2V-1.3B --size 832x480 --frames 81 --memory-limit 8GB --json";

#[derive(Args, Debug)]
#[command(after_help = PLAN_EXAMPLE)]
pub struct PlanArgs {
    #[command(flatten)]
    pub generate: GenerateArgs,
    /// A released model whose files need not be here, in the place of --model
    #[arg(long, value_name = "NAME", value_parser = bench::preset(), conflicts_with = "model", help_heading = "Model")]
    pub preset: Option<Preset>,
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  wan inspect Wan2.1-T2V-1.3B --json\n  wan inspect fox.mp4")]
pub struct InspectArgs {
    /// Checkpoint folder or file, or `demo`; or a clip: a video, a picture, or numbered ones by their folder or pattern
    pub path: ModelPath,
    /// Compare every file of a folder that `wan convert` wrote with its checksum
    #[arg(long)]
    pub verify: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  wan devices --json")]
pub struct DevicesArgs {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

const DOCTOR_EXAMPLE: &str = "\
Examples:
  wan doctor
      checks the device that `auto` takes, at small sizes and at those of the models
  wan doctor --device all --short --json";

#[derive(Args, Debug)]
#[command(after_help = DOCTOR_EXAMPLE)]
pub struct DoctorArgs {
    /// auto, cpu, wgpu[:I] or any other device of `wan devices`, or all of them
    #[arg(long, default_value = "auto")]
    pub device: DeviceChoices,
    /// Small sizes only: what `generate` checks on first use of a device
    #[arg(long)]
    pub short: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

pub(crate) fn parse_count(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&n| n > 0).ok_or_else(|| "expected a whole number above 0".to_owned())
}

pub(crate) fn parse_positive(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|n: &f64| n.is_finite() && *n > 0.0)
        .ok_or_else(|| "expected a number above 0".to_owned())
}

pub(crate) fn parse_not_negative(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|n: &f64| n.is_finite() && *n >= 0.0);
    number.ok_or_else(|| "expected a number, 0 or above".to_owned())
}
