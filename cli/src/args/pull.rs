//! Flags of `wan pull`.

use clap::Args;

use crate::engine::{convert::PartChoice, hub::HubId};

const EXAMPLE: &str = "\
Examples:
  wan pull Wan-AI/Wan2.1-T2V-1.3B-Diffusers
      brings what a run needs into the cache of the hub's own programs; run again, it goes on where it stopped
  wan pull Wan-AI/Wan2.2-T2V-A14B --dry-run
  wan pull Wan-AI/Wan2.1-T2V-14B --only vae,text_encoder,tokenizer
  wan pull Comfy-Org/Wan_2.1_ComfyUI_repackaged --file split_files/vae/wan_2.1_vae.safetensors

Environment:
  HF_TOKEN       access token, for models that are not open to everybody
  HF_HOME        folder of the cache [default: ~/.cache/huggingface]
  HF_ENDPOINT    address of another hub
  HF_HUB_OFFLINE 1: `--model owner/name` takes what was downloaded and asks nobody";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLE)]
pub struct PullArgs {
    /// Model on the hub, as owner/name or owner/name@revision
    pub id: HubId,
    /// Branch, tag or commit
    #[arg(long, value_name = "R")]
    pub revision: Option<String>,
    /// Files of these components only; the others have to be given by --vae and the like when the model is used
    #[arg(long, value_enum, value_name = "PART", value_delimiter = ',')]
    pub only: Vec<PartChoice>,
    /// This file, by its path in the repository; may be given several times
    #[arg(long, value_name = "PATH", conflicts_with = "only")]
    pub file: Vec<String>,
    /// All files, whether a run needs them or not
    #[arg(long, conflicts_with_all = ["only", "file"])]
    pub all: bool,
    /// List the files and their bytes, and download nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON object instead of the folder
    #[arg(long)]
    pub json: bool,
}
