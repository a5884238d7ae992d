//! Flags of `wan convert`.

use std::path::PathBuf;

use clap::Args;

use crate::{
    engine::{
        ModelPath,
        convert::{PartChoice, StoredDtype},
    },
    settings::Quant,
};

const EXAMPLE: &str = "\
Examples:
  wan convert Wan2.2-T2V-A14B -o wan-a14b-nf4 --quant nf4
      writes a folder that `wan generate --model wan-a14b-nf4` takes; run again, it goes on where it stopped
  wan convert lingbot-world-base-cam -o lingbot-int8 --quant int8 --report errors.json";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLE)]
pub struct ConvertArgs {
    /// Checkpoint folder in the diffusers or the official layout, or `demo`
    pub model: ModelPath,
    /// New folder for the package, or that of an earlier run that was stopped
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// Bits in which the large layers of transformers and text encoder are held
    #[arg(long, value_enum)]
    pub quant: Quant,
    /// Precision of large matrices that are not quantized; small tensors become f32
    #[arg(long, value_enum, default_value = "auto")]
    pub dtype: StoredDtype,
    /// Write these components only; the others have to be given by --vae and the like when the package is used
    #[arg(long, value_enum, value_name = "PART", value_delimiter = ',')]
    pub only: Vec<PartChoice>,
    /// Error of each quantized weight: a file, JSON if its name ends in .json, or - for stdout
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Print one JSON object instead of the folder
    #[arg(long)]
    pub json: bool,
}
