//! Flags of `wan batch`.

use std::{path::PathBuf, str::FromStr};

use clap::Args;

use super::PreviewArgs;
use crate::settings::Settings;

const EXAMPLE: &str = "\
Examples:
  wan batch jobs.jsonl -o clips --steps 30
      with jobs.jsonl:
        {\"name\": \"fox\", \"prompt\": \"a red fox runs through fresh snow\", \"seed\": 7}
        {\"name\": \"cat.webp\", \"prompt\": \"the cat yawns\", \"image\": \"cat.jpg\", \"steps\": 40}
  wan batch jobs.toml -o clips --dry-run
      with jobs.toml:
        [[jobs]]
        prompt = \"a red ball rolls to the left\"
  wan batch jobs.jsonl -o clips --shard 2/4
      the second of four machines";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLE)]
pub struct BatchArgs {
    /// One clip a line as a JSON object, a .toml file with a table [[jobs]] for each, or - for JSON lines from stdin;
    /// with settings named as these flags, and perhaps `name` or `output`
    pub jobs: PathBuf,
    /// Folder for the clips
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// Every N-th job only, from the I-th on; I from 1 to N
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,
    /// Check every job and say what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Free each transformer before frames are decoded, where both together do not fit the device
    #[arg(long)]
    pub lean: bool,
    /// Make clips again that are there with other settings
    #[arg(long)]
    pub overwrite: bool,
    /// Print one JSON object about all jobs instead of the clips' paths
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub preview: PreviewArgs,
    /// Of every job that does not say otherwise.
    #[command(flatten)]
    pub settings: Settings,
}

/// One of `count` parts of the jobs, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    count: usize,
}

impl Shard {
    /// Whether the job at `index`, from 0, is of this part.
    pub fn takes(self, index: usize) -> bool {
        index % self.count == self.index - 1
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        let parts = parts.filter(|&(index, count)| (1..=count).contains(&index));
        let (index, count) =
            parts.ok_or_else(|| "expected I/N with I from 1 to N, for example 2/4".to_owned())?;
        Ok(Self { index, count })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_job_is_of_one_part() {
        let shards: Vec<Shard> = ["1/3", "2/3", "3/3"].iter().map(|text| text.parse().unwrap()).collect();
        for index in 0..10 {
            assert_eq!(shards.iter().filter(|shard| shard.takes(index)).count(), 1);
        }
        assert!(shards[0].takes(0) && shards[2].takes(5));
        for text in ["", "1", "0/3", "4/3", "1/0", "-1/2", "a/b", "1/2/3"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }
}
