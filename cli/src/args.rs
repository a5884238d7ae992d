//! The command line's flags.

mod camera;
mod convert;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, builder::NonEmptyStringValueParser};

pub use camera::{CameraArgs, CameraCommand, CameraMakeArgs, CameraShowArgs};
pub use convert::ConvertArgs;

use crate::{
    devices::{DeviceChoice, DeviceChoices},
    engine::{DtypeChoice, ModelPath, Offload, Quant, Schedule, Solver, Task, VaeDtype},
};

/// Video from text with Wan diffusion models, on a CPU or any graphics adapter.
#[derive(Parser, Debug)]
#[command(name = "wan", version, propagate_version = true, arg_required_else_help = false)]
pub struct Cli {
    /// Print results and errors only
    #[arg(long, short, global = true, display_order = 1000)]
    pub quiet: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Make a video from a prompt
    Generate(Box<GenerateArgs>),
    /// Say what a checkpoint is
    Inspect(InspectArgs),
    /// Write a checkpoint again, its large layers in fewer bits
    Convert(ConvertArgs),
    /// Make camera paths and look at them
    Camera(CameraArgs),
    /// List the devices of this machine
    Devices(DevicesArgs),
    /// Check this machine's kernels against their references
    Doctor(DoctorArgs),
    /// Time this machine's kernels at the models' sizes
    Bench(BenchArgs),
}

const GENERATE_EXAMPLE: &str = "\
Examples:
  wan generate --prompt \"a red ball rolls to the left\"
      draws it with the built-in demo model, in seconds and on any machine
  wan generate --model Wan2.2-I2V-A14B --image cat.jpg --prompt \"the cat yawns\" --area 480p
  wan generate --model lingbot-world-base-cam --image room.png --camera walk \\
      --prompt \"a quiet reading room\" --frames 161
  wan generate --model Wan2.1-T2V-1.3B --prompt \"a red fox runs through fresh snow\" \\
      --size 832x480 --frames 33 --steps 30 --seed 7 -o fox.mp4";

#[derive(Args, Debug)]
#[command(after_help = GENERATE_EXAMPLE)]
pub struct GenerateArgs {
    /// What the video shows
    #[arg(
        long,
        value_name = "TEXT",
        required_unless_present = "prompt_file",
        conflicts_with = "prompt_file"
    )]
    pub prompt: Option<String>,
    /// Read the prompt from a file
    #[arg(long, value_name = "FILE")]
    pub prompt_file: Option<PathBuf>,
    /// What to avoid; the model's own text unless given, "" for none
    #[arg(long, value_name = "TEXT")]
    pub negative: Option<String>,

    /// The first frame: png, jpeg, webp or gif
    #[arg(long, value_name = "FILE", help_heading = "Conditions")]
    pub image: Option<PathBuf>,
    /// The last frame
    #[arg(long, value_name = "FILE", help_heading = "Conditions")]
    pub last_image: Option<PathBuf>,
    /// Camera path: folder with poses.npy and intrinsics.npy, or a cameras.json; see `wan camera make`
    #[arg(long, value_name = "DIR", help_heading = "Conditions")]
    pub camera: Option<PathBuf>,

    /// Checkpoint folder in the diffusers or the official layout, or `demo`, the built-in model, which is also what no
    /// model at all means
    #[arg(long, value_name = "DIR", help_heading = "Model")]
    pub model: Option<ModelPath>,
    /// Diffusion transformer file, instead of the model folder's
    #[arg(long, value_name = "FILE", help_heading = "Model")]
    pub dit: Option<PathBuf>,
    /// Of two transformers the one for high noise; --dit is the other one then
    #[arg(long, value_name = "FILE", help_heading = "Model")]
    pub dit_high: Option<PathBuf>,
    /// Video autoencoder file
    #[arg(long, value_name = "FILE", help_heading = "Model")]
    pub vae: Option<PathBuf>,
    /// umT5 text encoder file
    #[arg(long, value_name = "FILE", help_heading = "Model")]
    pub text_encoder: Option<PathBuf>,
    /// CLIP image encoder file, for the image models of Wan 2.1
    #[arg(long, value_name = "FILE", help_heading = "Model")]
    pub image_encoder: Option<PathBuf>,
    /// Tokenizer file or folder
    #[arg(long, value_name = "PATH", help_heading = "Model")]
    pub tokenizer: Option<PathBuf>,
    /// Kind of job; refused if the checkpoint is for another
    #[arg(long, value_enum, default_value = "auto", help_heading = "Model")]
    pub task: Task,

    /// Pixels, for example 832x480
    #[arg(long, value_name = "WxH", value_parser = parse_size, help_heading = "Video")]
    pub size: Option<(usize, usize)>,
    /// Pixels of a frame with the image's proportions, about: 480p, 720p, or as WxH
    #[arg(long, value_name = "AREA", value_parser = parse_area, conflicts_with = "size", help_heading = "Video")]
    pub area: Option<usize>,
    /// Number of frames, 4n+1
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = parse_count, conflicts_with = "seconds", help_heading = "Video")]
    pub frames: Option<usize>,
    /// Length, instead of --frames
    #[arg(long, value_name = "S", allow_negative_numbers = true, value_parser = parse_positive, help_heading = "Video")]
    pub seconds: Option<f64>,
    /// Frames per second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000), help_heading = "Video")]
    pub fps: Option<u32>,

    /// Number of denoising steps
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = parse_count, help_heading = "Sampling")]
    pub steps: Option<usize>,
    /// Sampler
    #[arg(long, value_enum, help_heading = "Sampling")]
    pub solver: Option<Solver>,
    /// Shift of the noise schedule
    #[arg(long, value_name = "F", allow_negative_numbers = true, value_parser = parse_positive, help_heading = "Sampling")]
    pub shift: Option<f64>,
    /// Guidance scale
    #[arg(long, value_name = "G", allow_negative_numbers = true, value_parser = parse_not_negative, help_heading = "Sampling")]
    pub guidance: Option<f64>,
    /// Guidance scale of the transformer for high noise, where there are two
    #[arg(long, value_name = "G", allow_negative_numbers = true, value_parser = parse_not_negative, help_heading = "Sampling")]
    pub guidance_high: Option<f64>,
    /// Noise level from 0 to 1 from which on the transformer for high noise works, where there are two
    #[arg(long, value_name = "F", allow_negative_numbers = true, value_parser = parse_not_negative, help_heading = "Sampling")]
    pub boundary: Option<f64>,
    /// Whose sigma grid, sizing rules and preparation of pictures
    #[arg(long, value_enum, default_value = "auto", help_heading = "Sampling")]
    pub schedule: Schedule,
    /// Seed of the noise; random unless given
    #[arg(long, value_name = "N", help_heading = "Sampling")]
    pub seed: Option<u64>,
    /// Safetensors file with the starting `noise` [C,T,H,W], instead of the seed's
    #[arg(long, value_name = "FILE", help_heading = "Sampling")]
    pub noise: Option<PathBuf>,

    /// auto, cpu, ndarray, wgpu[:I], vulkan[:I] or metal; see `wan devices`
    #[arg(long, default_value = "auto", help_heading = "Machine")]
    pub device: DeviceChoice,
    /// Precision of matmul inputs and weights
    #[arg(long, value_enum, default_value = "auto", help_heading = "Machine")]
    pub dtype: DtypeChoice,
    /// Bits in which the transformer's large layers are held
    #[arg(long, value_enum, default_value = "none", help_heading = "Machine")]
    pub quant: Quant,
    /// Precision of what the VAE remembers of earlier frames: f16 halves its memory, for a small error
    #[arg(long, value_enum, default_value = "f32", help_heading = "Machine")]
    pub vae_dtype: VaeDtype,
    /// What waits on the host for its turn on the device
    #[arg(long, value_enum, default_value = "auto", help_heading = "Machine")]
    pub offload: Offload,

    /// .mp4, .gif, .webp, .png (one frame), name_%04d.png or a folder [default: wan-<seed>.mp4]
    #[arg(short, long, value_name = "FILE", value_parser = NonEmptyStringValueParser::new(), help_heading = "Output")]
    pub output: Option<String>,
    /// Replace the output if it exists
    #[arg(long, help_heading = "Output")]
    pub overwrite: bool,
    /// Print one JSON object about the run instead of the path
    #[arg(long, help_heading = "Output")]
    pub json: bool,
    /// Write text.safetensors, latents.safetensors and frames.safetensors into a folder
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub dump: Option<PathBuf>,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  wan inspect Wan2.1-T2V-1.3B --json")]
pub struct InspectArgs {
    /// Checkpoint folder or file, or `demo`
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

const BENCH_EXAMPLE: &str = "\
Examples:
  wan bench kernels
      times every operation at the sizes this device bears, each beside its plain reference
  wan bench kernels --only attention --seconds 5 --json > attention.jsonl
  wan bench quant --device cpu";

#[derive(Args, Debug)]
#[command(after_help = BENCH_EXAMPLE)]
pub struct BenchArgs {
    /// What is timed
    #[arg(value_enum)]
    pub what: Benchmark,
    /// auto, cpu, wgpu[:I] or any other device of `wan devices`
    #[arg(long, default_value = "auto")]
    pub device: DeviceChoice,
    /// Operations whose name holds this text
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,
    /// For each row, about; what takes several times as long is left out
    #[arg(long, value_name = "S", default_value_t = 1.0, value_parser = parse_positive)]
    pub seconds: f64,
    /// Print one JSON object a line: the device, its own peaks, then the rows
    #[arg(long)]
    pub json: bool,
}

/// What `wan bench` times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Benchmark {
    /// Attention, norms, activations, convolutions
    Kernels,
    /// A block of LingBot-World at full width with weights of 32, 8 and 4 bits; takes 7 GB
    Quant,
}

/// `WxH` in pixels, both positive.
fn parse_size(text: &str) -> Result<(usize, usize), String> {
    let parts = text.split_once(['x', 'X', '*']);
    let size = parts.and_then(|(w, h)| Some((w.trim().parse().ok()?, h.trim().parse().ok()?)));
    size.filter(|&(w, h)| w > 0 && h > 0)
        .ok_or_else(|| "expected WIDTHxHEIGHT, for example 832x480".to_owned())
}

/// `480p`, `720p`, or the product of `WxH`.
fn parse_area(text: &str) -> Result<usize, String> {
    match text {
        "480p" => Ok(832 * 480),
        "720p" => Ok(1280 * 720),
        _ => parse_size(text).map(|(w, h)| w.saturating_mul(h)),
    }
    .map_err(|_| "expected 480p, 720p or WIDTHxHEIGHT".to_owned())
}

fn parse_count(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&n| n > 0).ok_or_else(|| "expected a whole number above 0".to_owned())
}

fn parse_positive(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|n: &f64| n.is_finite() && *n > 0.0)
        .ok_or_else(|| "expected a number above 0".to_owned())
}

fn parse_not_negative(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|n: &f64| n.is_finite() && *n >= 0.0);
    number.ok_or_else(|| "expected a number, 0 or above".to_owned())
}
