//! Flags of `wan resume` and `wan runs`.

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use clap::{Args, Subcommand, ValueEnum, builder::NonEmptyStringValueParser};

use super::PreviewArgs;
use crate::{
    devices::DeviceChoice,
    engine::runs::SaveEvery,
    settings::{DtypeChoice, Offload, VaeDtype},
};

const RESUME_EXAMPLE: &str = "\
Examples:
  wan resume
      goes on with the run that was left last
  wan resume 20261126T223319 -o fox.mp4
  wan resume latest --dtype f32
      goes on in another precision, after one that was too little";

#[derive(Args, Debug)]
#[command(after_help = RESUME_EXAMPLE)]
pub struct ResumeArgs {
    /// Name of a run of `wan runs`, `latest`, or a state.safetensors file
    #[arg(value_name = "RUN", default_value = "latest")]
    pub run: String,
    /// Another place for the video than the one the run began with
    #[arg(short, long, value_name = "FILE", value_parser = NonEmptyStringValueParser::new())]
    pub output: Option<String>,
    /// Replace the output if it exists
    #[arg(long)]
    pub overwrite: bool,
    /// Print one JSON object about the run instead of the path
    #[arg(long)]
    pub json: bool,
    /// Another device than the run began on; bits may differ then
    #[arg(long, value_name = "DEVICE", help_heading = "Machine")]
    pub device: Option<DeviceChoice>,
    /// Another precision of matmul inputs and weights
    #[arg(long, value_enum, help_heading = "Machine")]
    pub dtype: Option<DtypeChoice>,
    /// Another precision of what the VAE remembers of earlier frames
    #[arg(long, value_enum, help_heading = "Machine")]
    pub vae_dtype: Option<VaeDtype>,
    /// What waits on the host for its turn on the device
    #[arg(long, value_enum, help_heading = "Machine")]
    pub offload: Option<Offload>,
    #[command(flatten)]
    pub preview: PreviewArgs,
    #[command(flatten)]
    pub trust: TrustArgs,
}

/// What is done so that nothing is lost and nothing goes wrong unseen.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct TrustArgs {
    /// Write the run's state after every N steps, 0 for never [default: after five seconds of work]
    #[arg(long, value_name = "N", help_heading = "Trust")]
    save_every: Option<usize>,
    /// What to do if the video goes wrong: values that are not finite, flat, or far from their noise level [default: stop]
    #[arg(long, value_enum, value_name = "WHAT", help_heading = "Trust")]
    health: Option<HealthChoice>,
    /// As --health off
    #[arg(long, conflicts_with = "health", help_heading = "Trust")]
    no_health_check: bool,
}

/// The `--health` flag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum HealthChoice {
    /// nothing is looked at
    Off,
    /// say so and go on
    Warn,
    /// stop, and keep the last good state
    #[default]
    Stop,
}

impl TrustArgs {
    pub fn save_every(&self) -> SaveEvery {
        match self.save_every {
            None => SaveEvery::Auto,
            Some(steps) => NonZeroUsize::new(steps).map_or(SaveEvery::Never, SaveEvery::Steps),
        }
    }

    pub fn health(&self) -> HealthChoice {
        if self.no_health_check { HealthChoice::Off } else { self.health.unwrap_or_default() }
    }
}

const RUNS_EXAMPLE: &str = "\
Examples:
  wan runs
      lists the runs that were left, the last one first
  wan runs rm 20261126T223319
  wan runs rm --older-than 7d
  wan runs prune --keep 3 --max-size 10G";

#[derive(Args, Debug)]
#[command(after_help = RUNS_EXAMPLE)]
pub struct RunsArgs {
    #[command(subcommand)]
    pub command: Option<RunsCommand>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Subcommand, Debug)]
pub enum RunsCommand {
    /// Remove runs
    Rm(RunsRmArgs),
    /// Remove the oldest runs, but for some
    Prune(RunsPruneArgs),
}

#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
pub struct RunsRmArgs {
    /// Names of `wan runs`
    #[arg(value_name = "RUN")]
    pub runs: Vec<String>,
    /// All that no process is at work on
    #[arg(long)]
    pub all: bool,
    /// Those kept last longer ago than this, for example 7d or 12h
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub older_than: Option<Duration>,
}

#[derive(Args, Debug)]
pub struct RunsPruneArgs {
    /// Newest runs to leave [default: 32]
    #[arg(long, value_name = "N")]
    pub keep: Option<usize>,
    /// Bytes to leave, for example 500M or 10G [default: 32G]
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    pub max_size: Option<u64>,
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| error.to_string())
}

/// A number with K, M, G or T behind it, in powers of 1024, or none.
fn parse_bytes(text: &str) -> Result<u64, String> {
    let number = text.trim_end_matches(['B', 'b', 'i']);
    let units = ["", "K", "M", "G", "T"];
    let unit = number.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').to_uppercase();
    let power = units.iter().position(|known| *known == unit).ok_or("expected a size such as 500M or 10G")?;
    let value = number[..number.len() - unit.len()].parse::<f64>().map_err(|error| error.to_string())?;
    Ok((value * 1024f64.powi(power as i32)) as u64)
}

/// For a path argument of the command line, whatever folder it is read from later.
pub fn absolute(path: &str) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(parse_bytes("500M"), Ok(500 << 20));
        assert_eq!(parse_bytes("1.5GiB"), Ok(3 << 29));
        assert_eq!(parse_bytes("12"), Ok(12));
        assert!(parse_bytes("many").is_err() && parse_bytes("3X").is_err() && parse_bytes("").is_err());
    }
}
